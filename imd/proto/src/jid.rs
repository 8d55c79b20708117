//! Addresses: `local@domain/resource` (RFC 7622), prepared so that equal addresses compare equal byte for byte.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most bytes one part of an address may have (RFC 7622 §3.1).
pub const MAX_PART_BYTES: usize = 1023;

/// An address, bare (`a@b`, `b`) or full (`a@b/c`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid {
    text: Arc<str>,
    /// Index of `@`, or `NONE`.
    at: u16,
    /// Index of `/`, or `NONE`.
    slash: u16,
}

const NONE: u16 = u16::MAX;

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// A part is empty where a separator announces it, or the domain is missing.
    #[error("the {0} of the address is empty")]
    Empty(&'static str),
    /// A part exceeds [`MAX_PART_BYTES`].
    #[error("the {0} of the address is longer than {MAX_PART_BYTES} bytes")]
    TooLong(&'static str),
    /// A part has a character that it may not have.
    #[error("the {0} of the address has a character that is not allowed there")]
    Invalid(&'static str),
}

impl Jid {
    /// An address of its parts, each prepared (RFC 6122 Nodeprep, Nameprep and Resourceprep).
    ///
    /// # Errors
    /// When a part is empty, too long or has a forbidden character.
    pub fn new(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Self, JidError> {
        let local = local.map(prepare_local).transpose()?;
        let domain = prepare_domain(domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        Ok(Self::assemble(
            local.as_deref(),
            &domain,
            resource.as_deref(),
        ))
    }

    fn assemble(local: Option<&str>, domain: &str, resource: Option<&str>) -> Self {
        let mut text = String::with_capacity(
            local.map_or(0, |l| l.len() + 1) + domain.len() + resource.map_or(0, |r| r.len() + 1),
        );
        let mut at = NONE;
        let mut slash = NONE;
        if let Some(local) = local {
            text.push_str(local);
            at = index(text.len());
            text.push('@');
        }
        text.push_str(domain);
        if let Some(resource) = resource {
            slash = index(text.len());
            text.push('/');
            text.push_str(resource);
        }
        Self {
            text: text.into(),
            at,
            slash,
        }
    }

    /// The whole address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before `@`. Absent for servers and services.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        (self.at != NONE).then(|| &self.text[..usize::from(self.at)])
    }

    /// The server or service.
    #[must_use]
    pub fn domain(&self) -> &str {
        let start = if self.at == NONE {
            0
        } else {
            usize::from(self.at) + 1
        };
        &self.text[start..self.bare_len()]
    }

    /// The part after `/`. Absent for bare addresses.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        (self.slash != NONE).then(|| &self.text[usize::from(self.slash) + 1..])
    }

    fn bare_len(&self) -> usize {
        if self.slash == NONE {
            self.text.len()
        } else {
            usize::from(self.slash)
        }
    }

    /// The text of the address without its resource.
    #[must_use]
    pub fn bare_str(&self) -> &str {
        &self.text[..self.bare_len()]
    }

    /// The address without its resource.
    #[must_use]
    pub fn to_bare(&self) -> Self {
        if self.slash == NONE {
            return self.clone();
        }
        Self {
            text: self.bare_str().into(),
            at: self.at,
            slash: NONE,
        }
    }

    /// Whether there is no resource.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.slash == NONE
    }

    /// Whether both are the same but for the resource.
    #[must_use]
    pub fn same_bare(&self, other: &Self) -> bool {
        self.bare_str() == other.bare_str()
    }

    /// The same account or service with another resource.
    ///
    /// # Errors
    /// When the resource is empty, too long or has a forbidden character.
    pub fn with_resource(&self, resource: &str) -> Result<Self, JidError> {
        let resource = prepare_resource(resource)?;
        Ok(Self::assemble(self.local(), self.domain(), Some(&resource)))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "parts are at most 1,023 bytes, so an index is at most 2,047"
)]
fn index(n: usize) -> u16 {
    n as u16
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text, None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        Self::new(local, domain, resource)
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_length<'a>(what: &'static str, text: Cow<'a, str>) -> Result<Cow<'a, str>, JidError> {
    if text.is_empty() {
        Err(JidError::Empty(what))
    } else if text.len() > MAX_PART_BYTES {
        Err(JidError::TooLong(what))
    } else {
        Ok(text)
    }
}

/// Prepare by a stringprep profile. The profiles' tables are older than Unicode's: a character newer than they
/// are may come out as one that would be prepared further. Such an address would be two, so it is refused.
fn stable<'a>(
    what: &'static str,
    profile: fn(&str) -> Result<Cow<'_, str>, stringprep::Error>,
    text: &'a str,
) -> Result<Cow<'a, str>, JidError> {
    let prepared = profile(text).map_err(|_| JidError::Invalid(what))?;
    if profile(&prepared).is_ok_and(|again| again == prepared) {
        Ok(prepared)
    } else {
        Err(JidError::Invalid(what))
    }
}

/// Prepare a localpart (Nodeprep), as it stands before `@`.
///
/// # Errors
/// When it is empty, too long or has a forbidden character.
pub fn prepare_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    let what = "localpart";
    check_length(what, Cow::Borrowed(text))?;
    if text.bytes().all(|b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'+')
    }) {
        return Ok(Cow::Borrowed(text));
    }
    check_length(what, stable(what, stringprep::nodeprep, text)?)
}

/// Prepare a domainpart (Nameprep), without a final dot.
///
/// # Errors
/// When it is empty, too long or has a forbidden character.
pub fn prepare_domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    let what = "domain";
    let text = text.strip_suffix('.').unwrap_or(text);
    check_length(what, Cow::Borrowed(text))?;
    // A compatibility character may become one of the forbidden ones, or a dot: the result is what counts.
    let prepared = if text.is_ascii() && !text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        stable(what, stringprep::nameprep, text)?
    };
    let forbidden = |b| b <= b' ' || b"\"&'/<>@\x7f".contains(&b);
    if prepared.bytes().any(forbidden) || prepared.split('.').any(str::is_empty) {
        return Err(JidError::Invalid(what));
    }
    check_length(what, prepared)
}

fn prepare_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    let what = "resource";
    check_length(what, Cow::Borrowed(text))?;
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Ok(Cow::Borrowed(text));
    }
    check_length(what, stable(what, stringprep::resourceprep, text)?)
}

/// Prepare a password (SASLprep, RFC 4013), so that it is the same bytes from every keyboard.
///
/// # Errors
/// When it has a forbidden character.
pub fn prepare_password(text: &str) -> Result<String, JidError> {
    stringprep::saslprep(text)
        .map(Cow::into_owned)
        .map_err(|_| JidError::Invalid("password"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_falls_into_its_parts() {
        let jid: Jid = "Juliet@Example.COM/balcony/upper @2".parse().unwrap();
        assert_eq!(jid.local(), Some("juliet"));
        assert_eq!(jid.domain(), "example.com");
        assert_eq!(jid.resource(), Some("balcony/upper @2"));
        assert_eq!(jid.to_bare().as_str(), "juliet@example.com");
        assert_eq!(jid.to_bare(), "juliet@example.com".parse().unwrap());
    }

    #[test]
    fn a_server_is_an_address() {
        let jid: Jid = "example.com".parse().unwrap();
        assert_eq!(
            (jid.local(), jid.domain(), jid.resource()),
            (None, "example.com", None)
        );
        assert!(jid.is_bare());
    }

    #[test]
    fn letters_outside_ascii_are_folded() {
        let jid: Jid = "ÅSA@BÜCHER.example".parse().unwrap();
        assert_eq!(jid.as_str(), "åsa@bücher.example");
    }

    #[test]
    fn bad_addresses_say_which_part_is_wrong() {
        for (text, error) in [
            ("", JidError::Empty("domain")),
            ("@example.com", JidError::Empty("localpart")),
            ("a@", JidError::Empty("domain")),
            ("a@b/", JidError::Empty("resource")),
            ("a b@c", JidError::Invalid("localpart")),
            ("a<b@c", JidError::Invalid("localpart")),
            ("a@b c", JidError::Invalid("domain")),
            ("a@\u{213b}", JidError::Invalid("domain")),
            ("a@b..", JidError::Invalid("domain")),
            ("a@b..c", JidError::Invalid("domain")),
            ("a@b\u{ff0f}c", JidError::Invalid("domain")),
            ("a@b@c", JidError::Invalid("domain")),
            ("a@b/\u{0}", JidError::Invalid("resource")),
        ] {
            assert_eq!(text.parse::<Jid>(), Err(error), "{text:?}");
        }
        let long = "a".repeat(1024);
        assert_eq!(long.parse::<Jid>(), Err(JidError::TooLong("domain")));
    }
}
