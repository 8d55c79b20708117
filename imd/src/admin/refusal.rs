//! Why an administrator's wish is not carried out: what was wrong, where, and what is accepted.

use std::fmt;

use imd_proto::{Condition, StanzaError};
use imd_store::StoreError;

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which value: a field's name, a line of a file.
    pub at: String,
    /// What was found, in words.
    pub found: String,
    /// What is accepted, in words.
    pub accepted: String,
}

impl Fault {
    /// A fault of one value.
    #[must_use]
    pub fn new(
        at: impl Into<String>,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            at: at.into(),
            found: found.into(),
            accepted: accepted.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.found)?;
        if !self.accepted.is_empty() {
            write!(f, "; accepted: {}", self.accepted)?;
        }
        Ok(())
    }
}

/// A wish that is not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Values are wrong: all that are, at least one.
    Invalid(Vec<Fault>),
    /// What it is about does not exist.
    Absent(String),
    /// Something else is in the way, in words.
    Conflict(String),
    /// A bound is reached, or the disk takes nothing: it may work later.
    Busy(String),
    /// The server is at fault; the log says more.
    Failed,
}

impl Refusal {
    /// One value is wrong.
    #[must_use]
    pub fn invalid(
        at: impl Into<String>,
        found: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self::Invalid(vec![Fault::new(at, found, accepted)])
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    fault.fmt(f)?;
                }
                Ok(())
            }
            Self::Absent(text) | Self::Conflict(text) | Self::Busy(text) => f.write_str(text),
            Self::Failed => f.write_str("the server could not do it; its log says why"),
        }
    }
}

impl std::error::Error for Refusal {}

const DISK: &str = "the server's disk takes no new data at the moment; try again later";

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Absent { .. } => Self::Absent(error.to_string()),
            StoreError::Exists { .. } => Self::Conflict(error.to_string()),
            StoreError::Limit { .. } => Self::Busy(error.to_string()),
            _ => {
                // What the disk says is for the log.
                tracing::warn!(%error, "the store refused an administrator");
                if error.is_resource_constraint() {
                    Self::Busy(DISK.to_owned())
                } else {
                    Self::Failed
                }
            }
        }
    }
}

impl From<StanzaError> for Refusal {
    fn from(error: StanzaError) -> Self {
        let condition = error.condition;
        let text = error.text.unwrap_or_else(|| condition.as_str().to_owned());
        match condition {
            Condition::ItemNotFound => Self::Absent(text),
            Condition::Conflict => Self::Conflict(text),
            Condition::ResourceConstraint => Self::Busy(text),
            Condition::InternalServerError => Self::Failed,
            _ => Self::invalid("request", text, ""),
        }
    }
}

impl From<&Refusal> for StanzaError {
    /// As an app is told that asked by XMPP.
    fn from(refusal: &Refusal) -> Self {
        let condition = match refusal {
            Refusal::Invalid(_) => Condition::BadRequest,
            Refusal::Absent(_) => Condition::ItemNotFound,
            Refusal::Conflict(_) => Condition::Conflict,
            Refusal::Busy(_) => Condition::ResourceConstraint,
            Refusal::Failed => Condition::InternalServerError,
        };
        Self::with_text(condition, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_what_and_what_is_accepted() {
        let refusal = Refusal::Invalid(vec![
            Fault::new("role", "\"boss\"", "admin, member or limited"),
            Fault::new("line 3", "the name is missing", ""),
        ]);
        assert_eq!(
            refusal.to_string(),
            "role: \"boss\"; accepted: admin, member or limited\nline 3: the name is missing"
        );
        let told = StanzaError::from(&Refusal::Absent("there is no \"x\"".into()));
        assert_eq!(told.condition, Condition::ItemNotFound);
    }
}
