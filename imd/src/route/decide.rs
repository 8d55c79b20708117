//! Where a message for a local account goes: RFC 6121 §8.5 as a pure function, with carbon copies (XEP-0280).

use imd_proto::{Condition, MessageType};

/// What the decision needs to know of one session of the addressee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Priority of its available presence; absent while it has none.
    pub priority: Option<i8>,
    /// Whether it has the resource that the message is addressed to.
    pub addressed: bool,
    /// Whether it gets carbon copies.
    pub carbons: bool,
}

/// What happens to a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Sessions, by index, that get it.
    pub deliver: Vec<usize>,
    /// Sessions, by index, that get a carbon copy.
    pub carbons: Vec<usize>,
    /// Whether it is kept for the next login (XEP-0160).
    pub offline: bool,
    /// The error for the sender.
    pub error: Option<Condition>,
}

/// Decide for an existing account. `full`: the address has a resource. `carbons`: the message may be copied.
/// `storable`: it may be kept.
#[must_use]
pub fn decide(
    kind: MessageType,
    full: bool,
    sessions: &[View],
    carbons: bool,
    storable: bool,
) -> Decision {
    let mut decision = Decision::default();
    if full {
        // §8.5.3.1: an exact match gets everything, whatever its presence.
        if let Some(at) = sessions.iter().position(|s| s.addressed) {
            decision.deliver.push(at);
            add_carbons(&mut decision, kind, sessions, carbons);
            return decision;
        }
        // §8.5.3.2: no such resource.
        match kind {
            MessageType::Normal | MessageType::Chat => {}
            MessageType::Groupchat => return error(Condition::ServiceUnavailable),
            MessageType::Headline | MessageType::Error => return decision,
        }
    }
    let available = |s: &View| s.priority.is_some_and(|p| p >= 0);
    match kind {
        // §8.5.2.1.1: to all resources that want messages, or to none of those with negative priority.
        MessageType::Normal | MessageType::Chat | MessageType::Headline => {
            decision.deliver = indices(sessions, available);
            if decision.deliver.is_empty() {
                if kind == MessageType::Headline {
                    return decision;
                }
                decision.offline = storable;
            } else {
                add_carbons(&mut decision, kind, sessions, carbons);
            }
            decision
        }
        MessageType::Groupchat => error(Condition::ServiceUnavailable),
        MessageType::Error => decision,
    }
}

fn indices(sessions: &[View], wanted: impl Fn(&View) -> bool) -> Vec<usize> {
    sessions
        .iter()
        .enumerate()
        .filter(|(_, s)| wanted(s))
        .map(|(at, _)| at)
        .collect()
}

fn add_carbons(decision: &mut Decision, kind: MessageType, sessions: &[View], allowed: bool) {
    if !allowed
        || !matches!(
            kind,
            MessageType::Chat | MessageType::Normal | MessageType::Error
        )
    {
        return;
    }
    decision.carbons = (0..sessions.len())
        .filter(|at| sessions[*at].carbons && !decision.deliver.contains(at))
        .collect();
}

fn error(condition: Condition) -> Decision {
    Decision {
        error: Some(condition),
        ..Decision::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};

    const fn view(priority: Option<i8>, addressed: bool, carbons: bool) -> View {
        View {
            priority,
            addressed,
            carbons,
        }
    }

    /// RFC 6121 §8.5, table 1, for an account that exists.
    #[test]
    fn messages_go_where_rfc_6121_says() {
        let none: &[View] = &[];
        let negative: &[View] = &[view(Some(-1), false, false)];
        let one: &[View] = &[view(Some(0), false, false)];
        let three: &[View] = &[
            view(Some(5), false, false),
            view(Some(-1), false, false),
            view(Some(0), false, false),
        ];
        let hit: &[View] = &[view(Some(0), false, false), view(None, true, false)];
        let deliver = |to: &[usize]| Decision {
            deliver: to.to_vec(),
            ..Decision::default()
        };
        let offline = || Decision {
            offline: true,
            ..Decision::default()
        };
        let silent = Decision::default;
        let refused = || error(Condition::ServiceUnavailable);
        let table: &[(&str, bool, &[View], MessageType, Decision)] = &[
            // 8.5.2.2: bare address, no available resource
            ("bare, nobody", false, none, Normal, offline()),
            ("bare, nobody", false, none, Chat, offline()),
            ("bare, nobody", false, none, Groupchat, refused()),
            ("bare, nobody", false, none, Headline, silent()),
            ("bare, nobody", false, none, Error, silent()),
            // 8.5.2.1: bare address, available resources
            ("bare, negative only", false, negative, Normal, offline()),
            ("bare, negative only", false, negative, Chat, offline()),
            ("bare, negative only", false, negative, Groupchat, refused()),
            ("bare, negative only", false, negative, Headline, silent()),
            ("bare, negative only", false, negative, Error, silent()),
            ("bare, one", false, one, Normal, deliver(&[0])),
            ("bare, one", false, one, Chat, deliver(&[0])),
            ("bare, one", false, one, Groupchat, refused()),
            ("bare, one", false, one, Headline, deliver(&[0])),
            ("bare, one", false, one, Error, silent()),
            ("bare, several", false, three, Normal, deliver(&[0, 2])),
            ("bare, several", false, three, Chat, deliver(&[0, 2])),
            ("bare, several", false, three, Headline, deliver(&[0, 2])),
            // 8.5.3.1: full address, the resource is there
            ("full, there", true, hit, Normal, deliver(&[1])),
            ("full, there", true, hit, Chat, deliver(&[1])),
            ("full, there", true, hit, Groupchat, deliver(&[1])),
            ("full, there", true, hit, Headline, deliver(&[1])),
            ("full, there", true, hit, Error, deliver(&[1])),
            // 8.5.3.2: full address, the resource is not there
            ("full, elsewhere", true, one, Normal, deliver(&[0])),
            ("full, elsewhere", true, one, Chat, deliver(&[0])),
            ("full, elsewhere", true, one, Groupchat, refused()),
            ("full, elsewhere", true, one, Headline, silent()),
            ("full, elsewhere", true, one, Error, silent()),
            ("full, nobody", true, none, Chat, offline()),
        ];
        for (case, full, sessions, kind, expected) in table {
            assert_eq!(
                decide(*kind, *full, sessions, true, true),
                *expected,
                "{case}, {kind:?}"
            );
        }
    }

    #[test]
    fn carbons_go_to_the_others_that_want_them() {
        let sessions = [
            view(Some(0), true, true),
            view(Some(-1), false, true),
            view(None, false, false),
        ];
        let decision = decide(Chat, true, &sessions, true, true);
        assert_eq!((decision.deliver, decision.carbons), (vec![0], vec![1]));
        assert!(
            decide(Chat, true, &sessions, false, true)
                .carbons
                .is_empty()
        );
        assert!(
            decide(Headline, true, &sessions, true, true)
                .carbons
                .is_empty()
        );
    }

    #[test]
    fn a_message_that_must_not_be_kept_vanishes_with_nobody_there() {
        assert_eq!(decide(Chat, false, &[], true, false), Decision::default());
    }
}
