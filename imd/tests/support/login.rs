//! How a client connects and logs in.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use imd::sasl::{Hash, decode, encode};
use imd_proto::{Element, ns};

use super::client::Client;
use super::password;
use super::scram::Scram;

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With the connection (XEP-0368).
    DirectTls,
    /// By STARTTLS (RFC 6120 §5).
    StartTls,
}

/// The mechanisms that the client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Scram { hash: Hash, plus: bool },
}

impl Mechanism {
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram { hash, plus } => match (hash, plus) {
                (Hash::Sha1, false) => "SCRAM-SHA-1",
                (Hash::Sha1, true) => "SCRAM-SHA-1-PLUS",
                (Hash::Sha256, false) => "SCRAM-SHA-256",
                (Hash::Sha256, true) => "SCRAM-SHA-256-PLUS",
            },
        }
    }

    /// The mechanism of a name.
    pub fn find(name: &str) -> Option<Self> {
        let scram = [Hash::Sha1, Hash::Sha256]
            .into_iter()
            .flat_map(|hash| [false, true].map(|plus| Self::Scram { hash, plus }));
        scram
            .chain([Self::Plain])
            .find(|m| m.name().eq_ignore_ascii_case(name))
    }
}

/// Stream management of a client (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamManagement {
    Off,
    /// Enabled, without resumption; acknowledgements are asked for and given as a client should.
    On,
    /// The same, with resumption.
    Resumable,
}

/// How to log in.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
    /// Absent: the server chooses.
    pub resource: Option<String>,
    pub way: Way,
    pub mechanism: Mechanism,
    pub management: StreamManagement,
}

impl Login {
    /// With the account's usual password, the resource `main`, direct TLS and SCRAM-SHA-256.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password(user),
            resource: Some("main".to_owned()),
            way: Way::DirectTls,
            mechanism: Mechanism::Scram {
                hash: Hash::Sha256,
                plus: false,
            },
            management: StreamManagement::Off,
        }
    }

    /// The same with another resource.
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// The same with resumable stream management.
    pub fn resumable(mut self) -> Self {
        self.management = StreamManagement::Resumable;
        self
    }
}

/// The server said no: the element in which it did.
#[derive(Debug)]
pub struct Refused(pub Element);

impl Refused {
    /// The name of the condition.
    pub fn condition(&self) -> &str {
        self.0.first_child().map(Element::name).unwrap_or_default()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused: {}", self.0.to_xml())
    }
}

impl std::error::Error for Refused {}

/// RFC 6120 §6.
pub async fn authenticate(client: &mut Client, login: &Login) -> Result<()> {
    let auth = |text: &[u8]| {
        Element::new("auth", ns::SASL)
            .with_attr("mechanism", login.mechanism.name())
            .with_text(encode(text))
    };
    let Mechanism::Scram { hash, plus } = login.mechanism else {
        let message = format!("\0{}\0{}", login.user, login.password);
        client.send_element(&auth(message.as_bytes())).await?;
        answer(client, "success").await?;
        return Ok(());
    };
    let binding = if plus {
        Some(
            client
                .tls_exporter()
                .context("this TLS cannot be bound to")?,
        )
    } else {
        None
    };
    let mut scram = Scram::new(hash, &login.user, &login.password, binding);
    scram.check_offer(&client.features, "mechanisms", ns::SASL);
    client.send_element(&auth(scram.first().as_bytes())).await?;
    let challenge = answer(client, "challenge").await?;
    let last = scram.answer(&challenge)?;
    let response = Element::new("response", ns::SASL).with_text(encode(last.as_bytes()));
    client.send_element(&response).await?;
    scram.check(&answer(client, "success").await?)
}

async fn answer(client: &mut Client, name: &str) -> Result<Vec<u8>> {
    let element = client.next().await?.element()?;
    if element.is("failure", ns::SASL) {
        return Err(Refused(element).into());
    }
    if !element.is(name, ns::SASL) {
        bail!("expected <{name}>, got {}", element.to_xml());
    }
    decode(&element.text()).map_err(|_| anyhow::anyhow!("no base64: {}", element.to_xml()))
}

/// RFC 6120 §7.
pub async fn bind(client: &mut Client, login: &Login) -> Result<()> {
    let mut bind = Element::new("bind", ns::BIND);
    if let Some(resource) = &login.resource {
        bind.push(Element::new("resource", ns::BIND).with_text(resource.as_str()));
    }
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "bind")
        .with_child(bind);
    client.send_element(&iq).await?;
    let answer = client.next().await?.element()?;
    let jid = answer
        .child("bind", ns::BIND)
        .and_then(|b| b.child_text("jid"));
    match jid {
        Some(jid) if answer.attr("type") == Some("result") => client.jid = jid,
        _ => return Err(Refused(answer).into()),
    }
    Ok(())
}

/// The stream header of a client. `from`: the account's address, if the client tells.
pub fn header(domain: &str, from: Option<&str>) -> String {
    let from = from.map(|f| format!("from='{f}' ")).unwrap_or_default();
    format!(
        "<?xml version='1.0'?><stream:stream {from}to='{domain}' version='1.0' xmlns='{}' xmlns:stream='{}'>",
        ns::CLIENT,
        ns::STREAM
    )
}
