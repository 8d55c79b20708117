//! Limited accounts (guests, children): they talk only with people in the same groups, in the rooms of their groups, with
//! the server itself, its uploads and its channels. [`decide`] is the rule; the rest finds out who is who.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use imd_proto::{Condition, Jid, Kind, Stanza, StanzaError};
use imd_store::{Role, StoreError};

use super::presence;
use crate::server::Server;
use crate::session::Session;

/// Accounts whose circles are kept; when there are more, all are forgotten and read again. More than are online on one
/// server, as each stanza asks.
const CACHED_ACCOUNTS: usize = 100_000;

/// With whom a limited account may talk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Circle {
    /// Usernames.
    pub people: HashSet<String>,
    /// Bare addresses of rooms.
    pub rooms: HashSet<String>,
}

/// The other end, as a limited account sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// Its own account, or another client of it.
    Itself,
    /// The server, its uploads and channels, the list of its rooms.
    Server,
    /// Somebody in the same group.
    Mate,
    /// The room of one of its groups, or somebody in it.
    GroupRoom,
    /// Somebody else of this server.
    Person,
    /// Another room.
    Room,
    /// A component or another server, or somebody there.
    Elsewhere,
}

/// Whether the limited account sends or is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A client of it sends.
    Out,
    /// The server sends for it: presence to contacts, answers.
    OutByServer,
    /// It is sent to.
    In,
}

/// What becomes of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes its way.
    Pass,
    /// It goes nowhere, and nobody is told.
    Drop,
    /// Its sender gets an error.
    Refuse(Condition),
}

/// Whether a stanza may go between a limited account and somebody.
#[must_use]
pub fn decide(way: Way, other: Other, kind: Kind, type_attr: Option<&str>) -> Verdict {
    if matches!(
        other,
        Other::Itself | Other::Server | Other::Mate | Other::GroupRoom
    ) {
        return Verdict::Pass;
    }
    // Errors are answered to those who could not have been let through, but carry no words of a client.
    let answer = type_attr == Some("error") || (kind == Kind::Iq && type_attr == Some("result"));
    match (kind, type_attr) {
        // What only takes away is always let through.
        (Kind::Presence, Some("unavailable" | "unsubscribe" | "unsubscribed")) => Verdict::Pass,
        _ if answer && way == Way::OutByServer => Verdict::Pass,
        _ if answer => Verdict::Drop,
        (Kind::Message, Some("headline")) if way != Way::Out => Verdict::Drop,
        (Kind::Presence, None | Some("probe")) if way != Way::Out => Verdict::Drop,
        // Strangers elsewhere do not learn that there is such an account.
        (Kind::Presence, _) if way == Way::In && other != Other::Person => Verdict::Drop,
        _ if way == Way::In && other != Other::Person => {
            Verdict::Refuse(Condition::ServiceUnavailable)
        }
        _ => Verdict::Refuse(Condition::NotAllowed),
    }
}

/// Circles of accounts that were in use lately; `None` for those that are not limited.
#[derive(Default)]
pub struct Limited {
    cached: RwLock<Cached>,
}

#[derive(Default)]
struct Cached {
    /// Counts how often all were forgotten: what was read before does not count afterwards.
    generation: u64,
    circles: HashMap<String, Option<Arc<Circle>>>,
}

impl Limited {
    fn change(&self) -> RwLockWriteGuard<'_, Cached> {
        self.cached.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The circle of an account; `None`: it is not limited, or there is no such account.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn circle(
        &self,
        server: &Server,
        user: &str,
    ) -> Result<Option<Arc<Circle>>, StoreError> {
        let generation = {
            let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(circle) = cached.circles.get(user) {
                return Ok(circle.clone());
            }
            cached.generation
        };
        let role = server.store.account(user).await?.map(|a| a.role);
        let circle = match role {
            Some(Role::Limited) => Some(Arc::new(Circle {
                people: server.store.group_mates(user).await?.into_iter().collect(),
                rooms: server
                    .store
                    .groups_of(user)
                    .await?
                    .into_iter()
                    .filter_map(|group| group.room)
                    .collect(),
            })),
            _ => None,
        };
        if role.is_some() {
            self.keep(user, generation, circle.clone());
        }
        Ok(circle)
    }

    fn keep(&self, user: &str, generation: u64, circle: Option<Arc<Circle>>) {
        let mut cached = self.change();
        if cached.generation == generation {
            if cached.circles.len() >= CACHED_ACCOUNTS {
                cached.circles.clear();
            }
            cached.circles.insert(user.to_owned(), circle);
        }
    }

    /// What has to be asked for before an account is read of which [`Limited::noted`] is told.
    pub fn generation(&self) -> u64 {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        cached.generation
    }

    /// Somebody has read this account for another reason: it need not be read again where it is not limited.
    pub fn noted(&self, user: &str, role: Role, generation: u64) {
        if role != Role::Limited {
            self.keep(user, generation, None);
        }
    }

    /// Roles or groups have changed.
    pub fn forget_all(&self) {
        let mut cached = self.change();
        cached.generation += 1;
        cached.circles.clear();
    }
}

/// What an address is to a limited account.
fn other(server: &Server, user: &str, circle: &Circle, jid: &Jid) -> Other {
    let domain = jid.domain();
    if domain == server.config.domain {
        return match jid.local() {
            None => Other::Server,
            Some(local) if local == user => Other::Itself,
            Some(local) if circle.people.contains(local) => Other::Mate,
            Some(_) => Other::Person,
        };
    }
    if domain == server.config.rooms_domain() {
        return match jid.local() {
            None => Other::Server,
            Some(_) if circle.rooms.contains(jid.bare_str()) => Other::GroupRoom,
            Some(_) => Other::Room,
        };
    }
    let own = domain
        .strip_suffix(server.config.domain.as_str())
        .is_some_and(|part| matches!(part, "upload." | "pubsub."));
    if own { Other::Server } else { Other::Elsewhere }
}

/// Stop a stanza that a limited account may not send or be sent. True: it has been dealt with.
pub async fn refuses(
    server: &Arc<Server>,
    stanza: &Stanza,
    session: Option<&Arc<Session>>,
    to: &Jid,
) -> bool {
    let out = match session {
        Some(_) => Way::Out,
        None => Way::OutByServer,
    };
    for (way, who, with) in [(out, &stanza.from, to), (Way::In, to, &stanza.from)] {
        let Some(user) = who.local().filter(|_| server.is_local_account(who)) else {
            continue;
        };
        let verdict = match server.limited.circle(server, user).await {
            Ok(None) => continue,
            Ok(Some(circle)) => decide(
                way,
                other(server, user, &circle, with),
                stanza.kind,
                stanza.type_attr(),
            ),
            Err(error) => {
                // A child must not be talked to because the disk is broken.
                tracing::warn!(user, %error, "cannot tell whether an account is limited");
                Verdict::Refuse(Condition::InternalServerError)
            }
        };
        match verdict {
            Verdict::Pass => {}
            Verdict::Drop => return true,
            Verdict::Refuse(condition) => {
                let error = match condition {
                    Condition::NotAllowed => StanzaError::with_text(condition, WHY),
                    _ => StanzaError::new(condition),
                };
                server.bounce(stanza, &error).await;
                return true;
            }
        }
    }
    false
}

const WHY: &str = "a limited account talks only with people in its groups";

/// Whether two may see each other's presence.
async fn may_meet(server: &Server, user: &str, with: &Jid) -> Result<bool, StoreError> {
    let circle = server.limited.circle(server, user).await?;
    Ok(circle.is_none_or(|circle| {
        matches!(
            other(server, user, &circle, with),
            Other::Itself | Other::Server | Other::Mate | Other::GroupRoom
        )
    }))
}

/// The role or the groups of an account have changed: show its presence and that of its contacts to each other again, or
/// hide them.
///
/// # Errors
/// When the store fails.
pub async fn show_again(server: &Arc<Server>, user: &str) -> Result<(), StoreError> {
    let own = server.account_jid(user);
    for item in server.store.roster(user).await?.items {
        let Ok(contact) = item.contact.parse::<Jid>() else {
            continue;
        };
        let local = contact
            .local()
            .filter(|_| server.is_local_account(&contact));
        let mut meet = may_meet(server, user, &contact).await?;
        if let Some(local) = local {
            meet &= may_meet(server, local, &own).await?;
        }
        if item.subscription.is_from() {
            presence::show(server, user, &contact, Some(meet)).await;
        }
        if let Some(local) = local.filter(|_| item.subscription.is_to()) {
            presence::show(server, local, &own, Some(meet)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Iq, Message, Presence};
    use Other::{Elsewhere, GroupRoom, Itself, Mate, Person, Room};
    use Verdict::{Drop, Pass, Refuse};
    use Way::{In, Out, OutByServer};

    const NO: Verdict = Refuse(Condition::NotAllowed);
    const GONE: Verdict = Refuse(Condition::ServiceUnavailable);

    #[test]
    fn within_its_circle_everything_passes() {
        for other in [Itself, Other::Server, Mate, GroupRoom] {
            for way in [Out, OutByServer, In] {
                for (kind, type_attr) in [
                    (Message, Some("chat")),
                    (Message, Some("error")),
                    (Presence, None),
                    (Presence, Some("subscribe")),
                    (Iq, Some("get")),
                    (Iq, Some("result")),
                ] {
                    assert_eq!(decide(way, other, kind, type_attr), Pass, "{other:?}");
                }
            }
        }
    }

    #[test]
    fn with_others_it_is_as_the_table_says() {
        // Kind and type; then what it sends, what the server sends for it, and what it is sent by people here,
        // by rooms, and from elsewhere.
        let table = [
            (Message, None, NO, NO, [NO, GONE, GONE]),
            (Message, Some("chat"), NO, NO, [NO, GONE, GONE]),
            (Message, Some("groupchat"), NO, NO, [NO, GONE, GONE]),
            (Message, Some("headline"), NO, Drop, [Drop, Drop, Drop]),
            (Message, Some("error"), Drop, Pass, [Drop, Drop, Drop]),
            (Presence, None, NO, Drop, [Drop, Drop, Drop]),
            (Presence, Some("subscribe"), NO, NO, [NO, Drop, Drop]),
            (Presence, Some("subscribed"), NO, NO, [NO, Drop, Drop]),
            (
                Presence,
                Some("unsubscribe"),
                Pass,
                Pass,
                [Pass, Pass, Pass],
            ),
            (
                Presence,
                Some("unsubscribed"),
                Pass,
                Pass,
                [Pass, Pass, Pass],
            ),
            (
                Presence,
                Some("unavailable"),
                Pass,
                Pass,
                [Pass, Pass, Pass],
            ),
            (Presence, Some("probe"), NO, Drop, [Drop, Drop, Drop]),
            (Presence, Some("error"), Drop, Pass, [Drop, Drop, Drop]),
            (Iq, Some("get"), NO, NO, [NO, GONE, GONE]),
            (Iq, Some("set"), NO, NO, [NO, GONE, GONE]),
            (Iq, Some("result"), Drop, Pass, [Drop, Drop, Drop]),
            (Iq, Some("error"), Drop, Pass, [Drop, Drop, Drop]),
        ];
        for (kind, type_attr, out, by_server, sent) in table {
            for (other, incoming) in [Person, Room, Elsewhere].into_iter().zip(sent) {
                let case = format!("{kind:?} {type_attr:?} {other:?}");
                assert_eq!(decide(Out, other, kind, type_attr), out, "{case}");
                assert_eq!(
                    decide(OutByServer, other, kind, type_attr),
                    by_server,
                    "{case}"
                );
                assert_eq!(decide(In, other, kind, type_attr), incoming, "{case}");
            }
        }
    }
}
