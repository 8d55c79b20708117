//! Who may do what with a node: pure decisions from its configuration and what is known of the one who asks.

use imd_proto::{Condition, Element, ErrorType, StanzaError, ns};

use super::node::{AccessModel, NodeConfig, PublishModel};

/// A standing relation to a node (XEP-0060 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Affiliation {
    /// May do everything.
    Owner,
    /// May read and publish.
    Publisher,
    /// May publish but not read.
    PublishOnly,
    /// May read a node with a whitelist.
    Member,
    /// May do nothing.
    Outcast,
    /// No special relation.
    #[default]
    None,
}

impl Affiliation {
    const ALL: [Self; 6] = [
        Self::Owner,
        Self::Publisher,
        Self::PublishOnly,
        Self::Member,
        Self::Outcast,
        Self::None,
    ];

    /// Its name in the protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Publisher => "publisher",
            Self::PublishOnly => "publish-only",
            Self::Member => "member",
            Self::Outcast => "outcast",
            Self::None => "none",
        }
    }

    /// The affiliation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == name)
    }
}

/// What is known of the one who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Viewer {
    /// The affiliation with the node.
    pub affiliation: Affiliation,
    /// Whether the owner of the account lets them see their presence.
    pub sees_presence: bool,
    /// Whether they are in one of the groups that the node names.
    pub in_group: bool,
    /// Whether they have a subscription that is in force.
    pub subscribed: bool,
}

impl Viewer {
    /// The owner.
    #[must_use]
    pub fn owner() -> Self {
        Self {
            affiliation: Affiliation::Owner,
            ..Self::default()
        }
    }
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// An outcast, or one who is not owner or publisher.
    Forbidden,
    /// Only those who see the presence.
    PresenceRequired,
    /// Only certain groups.
    NotInGroup,
    /// Only members.
    Closed,
    /// Only approved subscribers.
    NotSubscribed,
}

impl From<Denial> for StanzaError {
    /// The errors of XEP-0060 §6.5.9.
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Forbidden => Condition::Forbidden.into(),
            Denial::PresenceRequired => {
                refuse(Condition::NotAuthorized, "presence-subscription-required")
            }
            Denial::NotInGroup => refuse(Condition::NotAuthorized, "not-in-roster-group"),
            Denial::Closed => refuse(Condition::NotAllowed, "closed-node"),
            Denial::NotSubscribed => refuse(Condition::NotAuthorized, "not-subscribed"),
        }
    }
}

/// An error with a condition of XEP-0060.
#[must_use]
pub fn refuse(condition: Condition, detail: &'static str) -> StanzaError {
    StanzaError::new(condition).with_application(Element::new(detail, ns::PUBSUB_ERRORS))
}

/// The error for something that XEP-0060 defines and that is not done here.
#[must_use]
pub fn unsupported(feature: &'static str) -> StanzaError {
    StanzaError::new(Condition::FeatureNotImplemented)
        .of_type(ErrorType::Cancel)
        .with_application(
            Element::new("unsupported", ns::PUBSUB_ERRORS).with_attr("feature", feature),
        )
}

/// Whether items may be read.
///
/// # Errors
/// With the reason when not.
pub fn may_read(config: &NodeConfig, viewer: &Viewer) -> Result<(), Denial> {
    match viewer.affiliation {
        Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => return Ok(()),
        Affiliation::Outcast | Affiliation::PublishOnly => return Err(Denial::Forbidden),
        Affiliation::None => {}
    }
    match config.access_model {
        AccessModel::Open => Ok(()),
        AccessModel::Presence if viewer.sees_presence => Ok(()),
        AccessModel::Presence => Err(Denial::PresenceRequired),
        AccessModel::Roster if viewer.in_group => Ok(()),
        AccessModel::Roster => Err(Denial::NotInGroup),
        AccessModel::Authorize if viewer.subscribed => Ok(()),
        AccessModel::Authorize => Err(Denial::NotSubscribed),
        AccessModel::Whitelist => Err(Denial::Closed),
    }
}

/// Whether a subscription is in force at once (true), has to be approved (false), or is refused.
///
/// # Errors
/// With the reason for the refusal.
pub fn may_subscribe(config: &NodeConfig, viewer: &Viewer) -> Result<bool, Denial> {
    match may_read(config, viewer) {
        Ok(()) => Ok(true),
        Err(Denial::NotSubscribed) => Ok(false),
        Err(denial) => Err(denial),
    }
}

/// Whether items may be published.
///
/// # Errors
/// With the reason when not.
pub fn may_publish(config: &NodeConfig, viewer: &Viewer) -> Result<(), Denial> {
    let allowed = match viewer.affiliation {
        Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly => true,
        Affiliation::Outcast => false,
        Affiliation::Member | Affiliation::None => match config.publish_model {
            PublishModel::Open => true,
            PublishModel::Subscribers => viewer.subscribed,
            PublishModel::Publishers => false,
        },
    };
    if allowed {
        Ok(())
    } else {
        Err(Denial::Forbidden)
    }
}

/// Whether an item may be retracted: by owners, and by publishers what they published themselves.
///
/// # Errors
/// With the reason when not.
pub fn may_retract(config: &NodeConfig, viewer: &Viewer, published_it: bool) -> Result<(), Denial> {
    if viewer.affiliation == Affiliation::Owner {
        return Ok(());
    }
    may_publish(config, viewer)?;
    if published_it {
        Ok(())
    } else {
        Err(Denial::Forbidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(access_model: AccessModel) -> NodeConfig {
        NodeConfig {
            access_model,
            ..NodeConfig::pep()
        }
    }

    /// XEP-0060 §4.5, every model for somebody without an affiliation, by what they have.
    #[test]
    fn access_models_let_in_whom_they_should() {
        let nobody = Viewer::default();
        let contact = Viewer {
            sees_presence: true,
            ..nobody
        };
        let grouped = Viewer {
            sees_presence: true,
            in_group: true,
            ..nobody
        };
        let subscriber = Viewer {
            subscribed: true,
            ..nobody
        };
        use AccessModel as M;
        for (model, viewer, verdict) in [
            (M::Open, nobody, Ok(())),
            (M::Presence, nobody, Err(Denial::PresenceRequired)),
            (M::Presence, contact, Ok(())),
            (M::Presence, subscriber, Err(Denial::PresenceRequired)),
            (M::Roster, contact, Err(Denial::NotInGroup)),
            (M::Roster, grouped, Ok(())),
            (M::Authorize, contact, Err(Denial::NotSubscribed)),
            (M::Authorize, subscriber, Ok(())),
            (M::Whitelist, grouped, Err(Denial::Closed)),
            (M::Whitelist, subscriber, Err(Denial::Closed)),
        ] {
            assert_eq!(
                may_read(&config(model), &viewer),
                verdict,
                "{model:?} {viewer:?}"
            );
        }
    }

    /// XEP-0060 §4.1, table 1.
    #[test]
    fn affiliations_have_their_privileges() {
        use Affiliation as A;
        for (affiliation, reads, publishes, retracts_others) in [
            (A::Owner, true, true, true),
            (A::Publisher, true, true, false),
            (A::PublishOnly, false, true, false),
            (A::Member, true, false, false),
            (A::Outcast, false, false, false),
            (A::None, false, false, false),
        ] {
            let viewer = Viewer {
                affiliation,
                ..Viewer::default()
            };
            let node = config(AccessModel::Whitelist);
            assert_eq!(
                may_read(&node, &viewer).is_ok(),
                reads,
                "{affiliation:?} reads"
            );
            assert_eq!(
                may_publish(&node, &viewer).is_ok(),
                publishes,
                "{affiliation:?} publishes"
            );
            assert_eq!(
                may_retract(&node, &viewer, false).is_ok(),
                retracts_others,
                "{affiliation:?} retracts"
            );
        }
    }

    #[test]
    fn an_outcast_is_kept_out_of_an_open_node() {
        let outcast = Viewer {
            affiliation: Affiliation::Outcast,
            sees_presence: true,
            ..Viewer::default()
        };
        assert_eq!(
            may_read(&config(AccessModel::Open), &outcast),
            Err(Denial::Forbidden)
        );
    }

    #[test]
    fn a_subscription_waits_only_where_it_needs_approval() {
        let nobody = Viewer::default();
        assert_eq!(may_subscribe(&config(AccessModel::Open), &nobody), Ok(true));
        assert_eq!(
            may_subscribe(&config(AccessModel::Authorize), &nobody),
            Ok(false)
        );
        assert_eq!(
            may_subscribe(&config(AccessModel::Whitelist), &nobody),
            Err(Denial::Closed)
        );
    }
}
