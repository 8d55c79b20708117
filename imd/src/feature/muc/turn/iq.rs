//! Requests to a room: discovery, lists, configuration, archive, avatar, nicknames, moderation.

use imd_proto::form::Form;
use imd_proto::{Condition, Element, Jid, Stanza, StanzaError, ns};

use super::{Outcome, Turn, well_formed};
use crate::feature::muc::delivery::{Delivery, Effects};
use crate::feature::muc::role::Affiliation;
use crate::feature::muc::{
    admin, avatar, form, history, info, join, lists, message, moderation, names, outbox, owner,
    register, relay,
};
use crate::feature::{archive, store_error};

/// What a request brings: its answer's payload, and what else is sent before the answer.
type Answer = Result<(Option<Element>, Vec<Delivery>), StanzaError>;

fn with(payload: Element) -> Answer {
    Ok((Some(payload), Vec::new()))
}

impl Turn<'_> {
    pub(super) async fn iq(&mut self, stanza: &Stanza, to: &Jid) -> Outcome {
        if !stanza.is_request() {
            let relayed = self.slot.as_mut().map(|room| relay::answer(room, stanza));
            return Ok(relayed.unwrap_or_default());
        }
        well_formed(stanza)?;
        if let Some(nick) = to.resource() {
            return relay::request(self.room()?, stanza, nick);
        }
        let payload = stanza
            .element
            .first_child()
            .ok_or(StanzaError::new(Condition::BadRequest))?;
        self.room()?;
        if payload.is("moderate", names::MODERATE) && stanza.type_attr() == Some("set") {
            return self.moderate(stanza, payload).await;
        }
        let (answer, mut deliveries) = match stanza.type_attr() {
            Some("set") => self.set(stanza, payload).await?,
            _ => self.get(stanza, payload).await?,
        };
        let reply = match answer {
            Some(payload) => stanza.result_with(payload),
            None => stanza.result(),
        };
        deliveries.push(Delivery::one(reply, &stanza.from));
        Ok(deliveries.into())
    }

    async fn get(&mut self, stanza: &Stanza, payload: &Element) -> Answer {
        let from = &stanza.from;
        let room = self.room()?;
        match (payload.name(), payload.ns()) {
            ("query", ns::DISCO_INFO) => match payload.attr("node") {
                Some(node) => with(info::node(room, node, from)?),
                None => with(info::room(room)),
            },
            ("query", ns::DISCO_ITEMS) => match payload.attr("node") {
                Some(names::RESERVED_NICK | names::TRAFFIC) | None => {
                    with(info::occupants(room, from))
                }
                Some(_) => Err(Condition::ItemNotFound.into()),
            },
            ("query", names::ADMIN) => with(lists::list(room, from, payload)?),
            ("query", names::OWNER) => {
                self.owner(from)?;
                let form = form::build(self.room()?);
                with(Element::new("query", names::OWNER).with_child(form))
            }
            ("query", names::REGISTER) => with(register::form(room, from)?),
            ("query", ns::MAM) => with(archive::query_form()),
            ("metadata", ns::MAM) => {
                self.may_read_archive(from)?;
                with(archive::metadata(self.server, &self.handle.jid).await?)
            }
            ("vCard", ns::VCARD) => self.vcard().await,
            ("ping", ns::PING) => Ok((None, Vec::new())),
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    async fn set(&mut self, stanza: &Stanza, payload: &Element) -> Answer {
        let from = &stanza.from;
        match (payload.name(), payload.ns()) {
            ("query", names::ADMIN) => {
                let room = self.room()?;
                let changes = admin::read(room, payload)?;
                admin::check(room, from, &changes)?;
                Ok((None, self.change(from, changes).await?))
            }
            ("query", names::OWNER) => self.configure(from, payload).await,
            ("query", names::REGISTER) => self.register(from, payload).await,
            ("query", ns::MAM) => self.read_archive(from, payload).await,
            ("vCard", ns::VCARD) => self.set_vcard(from, payload).await,
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    fn owner(&mut self, who: &Jid) -> Result<(), StanzaError> {
        if self.room()?.affiliation(who) == Affiliation::Owner {
            return Ok(());
        }
        Err(StanzaError::with_text(
            Condition::Forbidden,
            "only owners of the room may do this",
        ))
    }

    /// XEP-0045 §10.1 to §10.2 and §10.9: submit, cancel, destroy.
    async fn configure(&mut self, from: &Jid, query: &Element) -> Answer {
        self.owner(from)?;
        if let Some(destroy) = query.child("destroy", names::OWNER) {
            let deliveries = self.destroy(destroy).await?;
            return Ok((None, deliveries));
        }
        let Some(form) = Form::find(query) else {
            let text = "the query needs a form or <destroy/>";
            return Err(StanzaError::with_text(Condition::BadRequest, text));
        };
        if form.form_type == "cancel" {
            if self.room()?.settings.locked {
                // XEP-0045 §10.1.3: a room that was never configured is not made.
                let destroy = owner::destroy_element(None);
                return Ok((None, self.destroy(&destroy).await?));
            }
            return Ok((None, Vec::new()));
        }
        let room = self.room()?;
        let (mut settings, changes) = form::read(room, &form)?;
        settings.locked = false;
        admin::check(room, from, &changes)?;
        let before = std::mem::replace(&mut room.settings, settings.clone());
        let record = super::registry::record(room);
        room.settings = before;
        self.store_changes(&changes).await?;
        let saved = self.server.store.save_room(record).await;
        saved.map_err(|e| store_error(&e))?;
        self.rooms.registry.list(&self.handle.jid, &settings);
        let room = self.room()?;
        let mut deliveries = admin::apply(room, Some(from), changes);
        deliveries.extend(owner::configure(room, settings));
        Ok((None, deliveries))
    }

    /// End the room for good.
    pub(in crate::feature::muc) async fn destroy(
        &mut self,
        destroy: &Element,
    ) -> Result<Vec<Delivery>, StanzaError> {
        let gone = self
            .server
            .store
            .delete_room(self.handle.jid.as_str())
            .await;
        gone.map_err(|e| store_error(&e))?;
        let deliveries = owner::destroy(self.room()?, destroy);
        self.rooms.registry.unlist(&self.handle.jid);
        *self.slot = None;
        Ok(deliveries)
    }

    async fn register(&mut self, from: &Jid, query: &Element) -> Answer {
        let room = self.room()?;
        let changes = register::submit(room, from, query)?;
        let removes = query.child("remove", names::REGISTER).is_some();
        if removes && room.affiliation(from) > Affiliation::Member {
            self.store_changes(&changes).await?;
            if let Some(entry) = self.room()?.affiliations.get_mut(from.bare_str()) {
                entry.nick = None;
            }
            return Ok((None, Vec::new()));
        }
        Ok((None, self.change(from, changes).await?))
    }

    fn may_read_archive(&mut self, who: &Jid) -> Result<bool, StanzaError> {
        let room = self.room()?;
        let standing = room.standing(who);
        let closed = room.settings.members_only || room.settings.password.is_some();
        let inside = room.occupant(who).is_some();
        if standing.affiliation == Affiliation::Outcast
            || (closed && !inside && standing.affiliation < Affiliation::Member)
        {
            let text = "only those who may enter the room read its archive";
            return Err(StanzaError::with_text(Condition::Forbidden, text));
        }
        Ok(room.shows_addresses_to(standing.role) || standing.affiliation >= Affiliation::Admin)
    }

    async fn read_archive(&mut self, from: &Jid, query: &Element) -> Answer {
        let sees = self.may_read_archive(from)?;
        let jid = self.handle.jid.clone();
        let show = |stanza: &str| {
            if sees {
                stanza.to_owned()
            } else {
                history::without_address(stanza).into_owned()
            }
        };
        let (results, fin) = archive::page_shown(self.server, &jid, query, from, show).await?;
        let each = |xml: String| Delivery::complete(xml.into(), from);
        Ok((Some(fin), results.into_iter().map(each).collect()))
    }

    async fn vcard(&mut self) -> Answer {
        let kept = self.server.store.vcard(self.handle.jid.as_str()).await;
        match kept.map_err(|e| store_error(&e))? {
            Some(text) => match crate::route::read_stored(&text) {
                Some(vcard) => with(vcard),
                None => Err(Condition::InternalServerError.into()),
            },
            None => Err(Condition::ItemNotFound.into()),
        }
    }

    /// XEP-0486 §2: owners set the room's avatar, and everybody is told.
    async fn set_vcard(&mut self, from: &Jid, vcard: &Element) -> Answer {
        self.owner(from)?;
        let hash = avatar::hash(vcard)?;
        let kept = vcard.children().next().is_some().then(|| vcard.to_xml());
        let jid = self.handle.jid.as_str();
        let stored = self.server.store.set_vcard(jid, kept).await;
        stored.map_err(|e| store_error(&e))?;
        let before = std::mem::replace(&mut self.room()?.settings.avatar, hash.clone());
        if let Err(error) = self.save().await {
            self.room()?.settings.avatar = before;
            return Err(error);
        }
        let room = self.room()?;
        let everybody = room.everybody();
        let presence = join::avatar_element(room, hash.as_deref().unwrap_or_default());
        let x = Element::new("x", ns::MUC_USER).with_child(super::super::room::status(104));
        let message = Element::new("message", ns::CLIENT)
            .with_attr("from", room.jid.as_str())
            .with_attr("type", "groupchat")
            .with_child(x);
        let told = vec![
            Delivery::new(presence, everybody.clone()),
            Delivery::new(message, everybody),
        ];
        Ok((None, told))
    }

    /// XEP-0425 §3: a moderator takes a message back.
    async fn moderate(&mut self, stanza: &Stanza, moderate: &Element) -> Outcome {
        let id = moderation::id(moderate)?;
        if moderate.child("retract", names::RETRACT).is_none() {
            let text = "the only moderation there is is <retract/>";
            return Err(StanzaError::with_text(
                Condition::FeatureNotImplemented,
                text,
            ));
        }
        moderation::may_moderate(self.room()?, &stanza.from)?;
        let reason = moderate.child_text("reason").filter(|r| !r.is_empty());
        self.retract(&stanza.from, id, reason.as_deref(), false)
            .await?;
        let moment = self.moment();
        let room = self.room()?;
        let told = moderation::announcement(room, id, &stanza.from, reason.as_deref());
        let effects = message::broadcast(room, told, None, moment);
        // The result follows the announcement in the room's own order.
        let _ = outbox::send(self.server, self.handle, effects).await;
        Ok(Effects::reply(stanza.result(), &stanza.from))
    }
}
