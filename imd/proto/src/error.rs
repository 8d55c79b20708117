//! Stanza errors (RFC 6120 §8.3) and stream errors (RFC 6120 §4.9).

use crate::ns;
use crate::xml::Element;

/// What the sender can do about a stanza error (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// Retry after providing credentials or with more rights.
    Auth,
    /// Do not retry.
    Cancel,
    /// The condition was only a warning.
    Continue,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

/// A defined condition of a stanza error (RFC 6120 §8.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `<bad-request/>`.
    BadRequest,
    /// `<conflict/>`.
    Conflict,
    /// `<feature-not-implemented/>`.
    FeatureNotImplemented,
    /// `<forbidden/>`.
    Forbidden,
    /// `<gone/>`.
    Gone,
    /// `<internal-server-error/>`.
    InternalServerError,
    /// `<item-not-found/>`.
    ItemNotFound,
    /// `<jid-malformed/>`.
    JidMalformed,
    /// `<not-acceptable/>`.
    NotAcceptable,
    /// `<not-allowed/>`.
    NotAllowed,
    /// `<not-authorized/>`.
    NotAuthorized,
    /// `<policy-violation/>`.
    PolicyViolation,
    /// `<recipient-unavailable/>`.
    RecipientUnavailable,
    /// `<redirect/>`.
    Redirect,
    /// `<registration-required/>`.
    RegistrationRequired,
    /// `<remote-server-not-found/>`.
    RemoteServerNotFound,
    /// `<remote-server-timeout/>`.
    RemoteServerTimeout,
    /// `<resource-constraint/>`.
    ResourceConstraint,
    /// `<service-unavailable/>`.
    ServiceUnavailable,
    /// `<subscription-required/>`.
    SubscriptionRequired,
    /// `<undefined-condition/>`.
    UndefinedCondition,
    /// `<unexpected-request/>`.
    UnexpectedRequest,
}

impl Condition {
    /// The name of its element.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The error type that RFC 6120 associates with the condition.
    #[must_use]
    pub fn default_type(self) -> ErrorType {
        match self {
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect => ErrorType::Modify,
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
        }
    }
}

/// A stanza error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender can do.
    pub error_type: ErrorType,
    /// The defined condition.
    pub condition: Condition,
    /// Words for a person; absent when there is nothing to add.
    pub text: Option<String>,
    /// An application-specific condition; absent mostly. Boxed: errors travel in results.
    pub application: Option<Box<Element>>,
}

impl StanzaError {
    /// An error with the condition's own type and no text.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self {
            error_type: condition.default_type(),
            condition,
            text: None,
            application: None,
        }
    }

    /// An error with words for a person.
    pub fn with_text(condition: Condition, text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            ..Self::new(condition)
        }
    }

    /// The same with another type.
    #[must_use]
    pub fn of_type(mut self, error_type: ErrorType) -> Self {
        self.error_type = error_type;
        self
    }

    /// The same with an application-specific condition.
    #[must_use]
    pub fn with_application(mut self, element: Element) -> Self {
        self.application = Some(Box::new(element));
        self
    }

    /// The `<error/>` element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", ns::CLIENT)
            .with_attr("type", self.error_type.as_str())
            .with_child(Element::new(self.condition.as_str(), ns::STANZA_ERRORS));
        if let Some(text) = &self.text {
            error.push(Element::new("text", ns::STANZA_ERRORS).with_text(text.clone()));
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

/// A defined condition of a stream error (RFC 6120 §4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamCondition {
    /// `<bad-format/>`.
    BadFormat,
    /// `<bad-namespace-prefix/>`.
    BadNamespacePrefix,
    /// `<conflict/>`.
    Conflict,
    /// `<connection-timeout/>`.
    ConnectionTimeout,
    /// `<host-gone/>`.
    HostGone,
    /// `<host-unknown/>`.
    HostUnknown,
    /// `<improper-addressing/>`.
    ImproperAddressing,
    /// `<internal-server-error/>`.
    InternalServerError,
    /// `<invalid-from/>`.
    InvalidFrom,
    /// `<invalid-namespace/>`.
    InvalidNamespace,
    /// `<invalid-xml/>`.
    InvalidXml,
    /// `<not-authorized/>`.
    NotAuthorized,
    /// `<not-well-formed/>`.
    NotWellFormed,
    /// `<policy-violation/>`.
    PolicyViolation,
    /// `<remote-connection-failed/>`.
    RemoteConnectionFailed,
    /// `<reset/>`.
    Reset,
    /// `<resource-constraint/>`.
    ResourceConstraint,
    /// `<restricted-xml/>`.
    RestrictedXml,
    /// `<see-other-host/>`.
    SeeOtherHost,
    /// `<system-shutdown/>`.
    SystemShutdown,
    /// `<undefined-condition/>`.
    UndefinedCondition,
    /// `<unsupported-encoding/>`.
    UnsupportedEncoding,
    /// `<unsupported-feature/>`.
    UnsupportedFeature,
    /// `<unsupported-stanza-type/>`.
    UnsupportedStanzaType,
    /// `<unsupported-version/>`.
    UnsupportedVersion,
}

impl StreamCondition {
    /// The name of its element.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::BadNamespacePrefix => "bad-namespace-prefix",
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostGone => "host-gone",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::InvalidXml => "invalid-xml",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteConnectionFailed => "remote-connection-failed",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SeeOtherHost => "see-other-host",
            Self::SystemShutdown => "system-shutdown",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedFeature => "unsupported-feature",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }
}

/// A stream error: the stream ends after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{}", condition.as_str(), if text.is_some() { ": " } else { "" }, text.as_deref().unwrap_or_default())]
pub struct StreamError {
    /// The defined condition.
    pub condition: StreamCondition,
    /// Words for a person; absent when there is nothing to add.
    pub text: Option<String>,
    /// After how many seconds another try is worth it (`docs/protocol.md`); absent when that is not known.
    pub retry_after: Option<u64>,
}

impl StreamError {
    /// An error without text.
    #[must_use]
    pub fn new(condition: StreamCondition) -> Self {
        Self {
            condition,
            text: None,
            retry_after: None,
        }
    }

    /// An error with words for a person.
    pub fn with_text(condition: StreamCondition, text: impl Into<String>) -> Self {
        Self {
            condition,
            text: Some(text.into()),
            retry_after: None,
        }
    }

    /// The same, with the time after which another try is worth it, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The `<stream:error/>` element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut error = Element::new("error", ns::STREAM)
            .with_child(Element::new(self.condition.as_str(), ns::STREAM_ERRORS));
        if let Some(text) = &self.text {
            error.push(Element::new("text", ns::STREAM_ERRORS).with_text(text.clone()));
        }
        // RFC 6120 §4.9.4: a condition of our own goes last.
        if let Some(seconds) = self.retry_after {
            error.push(Element::new("retry-after", ns::OVERLOAD).with_text(seconds.to_string()));
        }
        error
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}
