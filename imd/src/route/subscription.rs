//! Presence subscriptions as pure functions: RFC 6121 §3 and Appendix A.

use imd_store::{RosterItem, Subscription};

/// The four presence types that change subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// "May I see your presence?"
    Subscribe,
    /// "You may."
    Subscribed,
    /// "I no longer want to."
    Unsubscribe,
    /// "You may not (any longer)."
    Unsubscribed,
}

impl Request {
    /// The request that a presence type makes; absent for other types.
    #[must_use]
    pub fn of(presence_type: Option<&str>) -> Option<Self> {
        match presence_type {
            Some("subscribe") => Some(Self::Subscribe),
            Some("subscribed") => Some(Self::Subscribed),
            Some("unsubscribe") => Some(Self::Unsubscribe),
            Some("unsubscribed") => Some(Self::Unsubscribed),
            _ => None,
        }
    }

    /// The presence type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Subscribed => "subscribed",
            Self::Unsubscribe => "unsubscribe",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

/// What a user's request to a contact does on the user's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// The item afterwards; absent when the contact is not in the roster and stays out.
    pub item: Option<RosterItem>,
    /// Whether the request goes on to the contact.
    pub forward: bool,
    /// Whether a waiting request of the contact is answered by it.
    pub answers: bool,
    /// Presence that the contact gets: `Some(true)` that of all sessions, `Some(false)` unavailable.
    pub presence: Option<bool>,
}

/// What a contact's request to a user does on the user's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The item afterwards; absent when the contact is not in the roster and stays out.
    pub item: Option<RosterItem>,
    /// Whether the user's sessions hear of it.
    pub deliver: bool,
    /// Whether the request waits until the user answers.
    pub wait: bool,
    /// Whether a waiting request is withdrawn by it.
    pub withdraws: bool,
    /// What the server answers by itself.
    pub reply: Option<Request>,
    /// Presence that the contact gets, as in [`Outbound::presence`].
    pub presence: Option<bool>,
}

fn item_or_new(item: Option<RosterItem>, contact: &str) -> RosterItem {
    item.unwrap_or_else(|| RosterItem {
        contact: contact.to_owned(),
        ..RosterItem::default()
    })
}

fn with_to(subscription: Subscription) -> Subscription {
    if subscription.is_from() {
        Subscription::Both
    } else {
        Subscription::To
    }
}

fn without_to(subscription: Subscription) -> Subscription {
    if subscription.is_from() {
        Subscription::From
    } else {
        Subscription::None
    }
}

fn with_from(subscription: Subscription) -> Subscription {
    if subscription.is_to() {
        Subscription::Both
    } else {
        Subscription::From
    }
}

fn without_from(subscription: Subscription) -> Subscription {
    if subscription.is_to() {
        Subscription::To
    } else {
        Subscription::None
    }
}

/// RFC 6121 Appendix A.2. `waiting`: a request of the contact waits for an answer.
#[must_use]
pub fn outbound(
    request: Request,
    item: Option<RosterItem>,
    contact: &str,
    waiting: bool,
) -> Outbound {
    let had = item.as_ref().map_or(Subscription::None, |i| i.subscription);
    match request {
        Request::Subscribe => {
            let mut item = item_or_new(item, contact);
            item.ask |= !had.is_to();
            Outbound {
                item: Some(item),
                forward: true,
                answers: false,
                presence: None,
            }
        }
        Request::Unsubscribe => {
            let item = item.map(|mut item| {
                item.ask = false;
                item.subscription = without_to(had);
                item
            });
            Outbound {
                item,
                forward: true,
                answers: false,
                presence: None,
            }
        }
        Request::Subscribed if waiting => {
            let mut item = item_or_new(item, contact);
            item.subscription = with_from(had);
            Outbound {
                item: Some(item),
                forward: true,
                answers: true,
                presence: Some(true),
            }
        }
        Request::Subscribed if had.is_from() => Outbound {
            item,
            forward: false,
            answers: false,
            presence: None,
        },
        Request::Subscribed => {
            // §3.4: approved before it is asked for.
            let mut item = item_or_new(item, contact);
            item.approved = true;
            Outbound {
                item: Some(item),
                forward: false,
                answers: false,
                presence: None,
            }
        }
        Request::Unsubscribed => {
            let item = item.map(|mut item| {
                item.subscription = without_from(had);
                item.approved = false;
                item
            });
            let had_from = had.is_from();
            Outbound {
                item,
                forward: had_from || waiting,
                answers: waiting,
                presence: had_from.then_some(false),
            }
        }
    }
}

/// RFC 6121 Appendix A.3.
#[must_use]
pub fn inbound(request: Request, item: Option<RosterItem>) -> Inbound {
    let had = item.as_ref().map_or(Subscription::None, |i| i.subscription);
    let quiet = Inbound {
        item: None,
        deliver: false,
        wait: false,
        withdraws: false,
        reply: None,
        presence: None,
    };
    match request {
        Request::Subscribe if had.is_from() => Inbound {
            item,
            reply: Some(Request::Subscribed),
            ..quiet
        },
        Request::Subscribe => match item {
            Some(mut item) if item.approved => {
                item.subscription = with_from(had);
                item.approved = false;
                Inbound {
                    item: Some(item),
                    reply: Some(Request::Subscribed),
                    presence: Some(true),
                    ..quiet
                }
            }
            item => Inbound {
                item,
                deliver: true,
                wait: true,
                ..quiet
            },
        },
        Request::Subscribed => match item {
            Some(mut item) if item.ask && !had.is_to() => {
                item.ask = false;
                item.subscription = with_to(had);
                Inbound {
                    item: Some(item),
                    deliver: true,
                    ..quiet
                }
            }
            item => Inbound { item, ..quiet },
        },
        Request::Unsubscribe => {
            let presence = had.is_from().then_some(false);
            let deliver = had.is_from();
            let item = item.map(|mut item| {
                item.subscription = without_from(had);
                item
            });
            Inbound {
                item,
                deliver,
                withdraws: true,
                presence,
                ..quiet
            }
        }
        Request::Unsubscribed => {
            let deliver = had.is_to() || item.as_ref().is_some_and(|i| i.ask);
            let item = item.map(|mut item| {
                item.ask = false;
                item.subscription = without_to(had);
                item
            });
            Inbound {
                item,
                deliver,
                ..quiet
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Request::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
    use Subscription::{Both, From, None as Nothing, To};

    fn item(subscription: Subscription, ask: bool) -> Option<RosterItem> {
        Some(RosterItem {
            contact: "c@d".into(),
            subscription,
            ask,
            ..RosterItem::default()
        })
    }

    fn state(item: Option<&RosterItem>) -> Option<(Subscription, bool)> {
        item.map(|i| (i.subscription, i.ask))
    }

    /// Appendix A.2: (state, pending out, pending in) → forwarded, new state.
    #[test]
    fn outbound_requests_change_state_as_appendix_a_2_says() {
        let table = [
            (Subscribe, Nothing, false, false, true, (Nothing, true)),
            (Subscribe, Nothing, true, false, true, (Nothing, true)),
            (Subscribe, To, false, false, true, (To, false)),
            (Subscribe, From, false, false, true, (From, true)),
            (Subscribe, Both, false, false, true, (Both, false)),
            (Unsubscribe, Nothing, true, false, true, (Nothing, false)),
            (Unsubscribe, To, false, false, true, (Nothing, false)),
            (Unsubscribe, From, true, false, true, (From, false)),
            (Unsubscribe, Both, false, false, true, (From, false)),
            (Subscribed, Nothing, false, true, true, (From, false)),
            (Subscribed, Nothing, true, true, true, (From, true)),
            (Subscribed, To, false, true, true, (Both, false)),
            (Subscribed, From, false, false, false, (From, false)),
            (Subscribed, Both, false, false, false, (Both, false)),
            (Unsubscribed, Nothing, false, true, true, (Nothing, false)),
            (Unsubscribed, Nothing, false, false, false, (Nothing, false)),
            (Unsubscribed, To, false, true, true, (To, false)),
            (Unsubscribed, From, false, false, true, (Nothing, false)),
            (Unsubscribed, From, true, false, true, (Nothing, true)),
            (Unsubscribed, Both, false, false, true, (To, false)),
        ];
        for (request, had, ask, waiting, forward, after) in table {
            let result = outbound(request, item(had, ask), "c@d", waiting);
            let case = format!("{request:?} in {had:?}, ask {ask}, waiting {waiting}");
            assert_eq!(result.forward, forward, "{case}");
            assert_eq!(state(result.item.as_ref()), Some(after), "{case}");
        }
    }

    /// Appendix A.3: (state, pending out) → delivered, new state.
    #[test]
    fn inbound_requests_change_state_as_appendix_a_3_says() {
        let table = [
            (Subscribe, Nothing, false, true, (Nothing, false)),
            (Subscribe, Nothing, true, true, (Nothing, true)),
            (Subscribe, To, false, true, (To, false)),
            (Subscribe, From, false, false, (From, false)),
            (Subscribe, Both, false, false, (Both, false)),
            (Unsubscribe, Nothing, false, false, (Nothing, false)),
            (Unsubscribe, To, false, false, (To, false)),
            (Unsubscribe, From, true, true, (Nothing, true)),
            (Unsubscribe, Both, false, true, (To, false)),
            (Subscribed, Nothing, false, false, (Nothing, false)),
            (Subscribed, Nothing, true, true, (To, false)),
            (Subscribed, From, true, true, (Both, false)),
            (Subscribed, To, false, false, (To, false)),
            (Unsubscribed, Nothing, true, true, (Nothing, false)),
            (Unsubscribed, Nothing, false, false, (Nothing, false)),
            (Unsubscribed, To, false, true, (Nothing, false)),
            (Unsubscribed, Both, false, true, (From, false)),
        ];
        for (request, had, ask, deliver, after) in table {
            let result = inbound(request, item(had, ask));
            let case = format!("{request:?} in {had:?}, ask {ask}");
            assert_eq!(result.deliver, deliver, "{case}");
            assert_eq!(state(result.item.as_ref()), Some(after), "{case}");
        }
    }

    #[test]
    fn a_request_that_was_approved_before_is_answered_by_the_server() {
        let approved = outbound(Subscribed, None, "c@d", false).item;
        assert!(approved.as_ref().unwrap().approved);
        let result = inbound(Subscribe, approved);
        assert_eq!((result.reply, result.deliver), (Some(Subscribed), false));
        assert_eq!(result.item.unwrap().subscription, From);
    }
}
