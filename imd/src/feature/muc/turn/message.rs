//! Messages to a room and to its occupants.

use imd_proto::{Condition, Jid, MessageType, Stanza, StanzaError};

use super::{Outcome, Turn};
use crate::feature::muc::admin::{self, Change, What};
use crate::feature::muc::announce::Notice;
use crate::feature::muc::delivery::{Delivery, Effects};
use crate::feature::muc::invite::{self, Asked};
use crate::feature::muc::message::{self, Private, is_subject};
use crate::feature::muc::role::Role;
use crate::feature::muc::{join, moderation};
use crate::feature::{archive, archive_prefs, push, store_error};
use crate::route;

impl Turn<'_> {
    pub(super) async fn message(&mut self, stanza: &Stanza, to: &Jid) -> Outcome {
        if stanza.is_error() {
            return Ok(self.bounced(stanza));
        }
        if let Some(nick) = to.resource() {
            let private = message::private(self.room()?, stanza, nick)?;
            return Ok(self.private(private).await);
        }
        if stanza.type_attr() == Some("groupchat") {
            return self.groupchat(stanza).await;
        }
        self.asked(stanza).await
    }

    /// A private message is in the archive of its receiver, as every other one; the sender's own is kept on its way here.
    async fn private(&self, private: Private) -> Effects {
        let Private {
            mut element,
            clients,
            receiver,
        } = private;
        let mut archived = Vec::new();
        let account = receiver
            .local()
            .filter(|_| self.server.is_local_account(&receiver));
        let from = element.attr("from").and_then(|from| from.parse().ok());
        if let (Some(user), Some(from)) = (account, from)
            && let Ok(stanza) = Stanza::stamp(imd_proto::Kind::Message, element.clone(), from)
        {
            let now = imd_store::now_millis();
            let wanted = archive_prefs::wants(self.server, user, &stanza.from).await;
            let entry = wanted
                .then(|| {
                    archive::entry(self.server, user, &stanza, &stanza.from, now, |owner| {
                        archive::kept(&stanza.element, owner)
                    })
                })
                .flatten();
            archive::mark(&mut element, &receiver, entry.as_ref().map(|e| e.id));
            archived.extend(entry);
        }
        let wakes = push::is_worth_it(&element, MessageType::Chat);
        let delivery = Delivery {
            wakes,
            ..Delivery::new(element, clients)
        };
        Effects {
            archive: archived,
            deliveries: vec![delivery],
            author: None,
        }
    }

    /// A message came back from a client: if that means it is gone, it leaves the room.
    fn bounced(&mut self, stanza: &Stanza) -> Effects {
        match self.slot {
            Some(room) if message::means_gone(stanza) => {
                let notice = Notice {
                    statuses: vec![307, 333],
                    ..Notice::default()
                };
                join::leave(room, &stanza.from, &[], &notice)
            }
            _ => Effects::default(),
        }
    }

    async fn groupchat(&mut self, stanza: &Stanza) -> Outcome {
        let moment = self.moment();
        let retracted = moderation::retracts(&stanza.element)?;
        if let Some(id) = retracted {
            message::may_speak(self.room()?, stanza)?;
            self.retract(&stanza.from, id, None, true).await?;
        }
        let room = self.room()?;
        let before = room.subject.clone();
        let effects = message::groupchat(room, stanza, moment)?;
        if is_subject(&stanza.element)
            && let Err(error) = self.save().await
        {
            self.room()?.subject = before;
            return Err(error);
        }
        Ok(effects)
    }

    /// Put a tombstone in an archived message's place. `own`: only its author may.
    pub(super) async fn retract(
        &mut self,
        actor: &Jid,
        id: imd_store::ArchiveId,
        reason: Option<&str>,
        own: bool,
    ) -> Result<(), StanzaError> {
        let store = &self.server.store;
        let owner = self.handle.jid.as_str();
        let found = store.archive_entry(owner, id).await;
        let entry = found
            .map_err(|e| store_error(&e))?
            .ok_or_else(moderation::no_message)?;
        let message = route::read_stored(&entry.stanza).ok_or_else(moderation::no_message)?;
        let room = self.slot.as_mut().ok_or_else(moderation::no_message)?;
        if own && !moderation::is_author(room, &message, actor) {
            let text = "only its author takes a message back";
            return Err(StanzaError::with_text(Condition::Forbidden, text));
        }
        let moderator = (!own).then_some((actor, reason));
        let now = imd_store::now_millis();
        let tombstone = moderation::tombstone(room, &entry, &message, now, moderator);
        let replaced = store
            .archive_replace(owner, id, tombstone.to_xml(), None)
            .await;
        replaced.map_err(|e| store_error(&e))?;
        room.history.remove(id);
        Ok(())
    }

    async fn asked(&mut self, stanza: &Stanza) -> Outcome {
        // A room that does not exist is what the sender should hear of first.
        self.room()?;
        match invite::read(&stanza.element)? {
            Asked::Invite(invitations) => {
                let new = invite::may_invite(self.room()?, &stanza.from, &invitations)?;
                let mut deliveries = self.change(&stanza.from, new).await?;
                deliveries.extend(invite::invitations(self.room()?, stanza, &invitations));
                Ok(deliveries.into())
            }
            Asked::Decline(decline) => invite::decline(self.room()?, stanza, &decline),
            Asked::Voice => invite::ask_for_voice(self.room()?, stanza),
            Asked::Refuse => Ok(Effects::default()),
            Asked::Approve(nick) => {
                let changes = vec![Change {
                    what: What::Role {
                        nick,
                        role: Role::Participant,
                    },
                    reason: None,
                }];
                admin::check(self.room()?, &stanza.from, &changes)?;
                Ok(self.change(&stanza.from, changes).await?.into())
            }
        }
    }
}
