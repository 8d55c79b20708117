//! A client that does the least of RFC 6120 and 6121: logs in over TLS on loopback, sends itself a message, and waits for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::{ClientConnection, StreamOwned};

use super::tls;

/// How long one whole conversation may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that a server may send in it.
const LARGEST: usize = 1 << 18;

/// Who logs in, and where.
pub struct Account<'a> {
    /// Direct TLS (XEP-0368).
    pub address: SocketAddr,
    /// The domain of its address.
    pub domain: &'a str,
    /// The name that the certificate must be for.
    pub host: &'a str,
    /// The part before `@`.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// Authorities (PEM).
    pub authority: &'a [u8],
}

/// Logs in, sends itself `text`, and waits until it comes back.
///
/// # Errors
/// What the server did otherwise.
pub fn send_to_oneself(account: &Account<'_>, text: &str) -> Result<()> {
    let mut talk = Talk::begin(account)?;
    talk.header(account.domain)?;
    talk.wait(&["</stream:features>"], "offer a login")?;
    let plain = format!("\0{}\0{}", account.name, account.password);
    talk.send(&format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
        base64(plain.as_bytes())
    ))?;
    let answer = talk.wait(&["<success", "<failure"], "answer a login")?;
    if !answer.contains("<success") {
        bail!("the server refused the login: {}", said(&answer));
    }
    talk.header(account.domain)?;
    talk.wait(&["</stream:features>"], "offer a session")?;
    talk.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>health</resource></bind></iq>")?;
    let answer = talk.wait(&["</iq>"], "bind a resource")?;
    if !answer.contains("<jid>") {
        bail!("the server gave no session: {}", said(&answer));
    }
    talk.send("<presence/>")?;
    talk.send(&format!(
        "<message type='chat' to='{}@{}/health'><body>{text}</body></message>",
        account.name, account.domain
    ))?;
    talk.wait(&[&format!("<body>{text}</body>")], "deliver a message")?;
    talk.send("</stream:stream>")
}

struct Talk {
    stream: StreamOwned<ClientConnection, TcpStream>,
    heard: Vec<u8>,
    until: Instant,
}

impl Talk {
    fn begin(account: &Account<'_>) -> Result<Self> {
        Ok(Self {
            stream: tls::connect(
                account.address,
                account.host,
                account.authority,
                "xmpp-client",
                PATIENCE,
            )?,
            heard: Vec::new(),
            until: Instant::now() + PATIENCE,
        })
    }

    fn header(&mut self, domain: &str) -> Result<()> {
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        ))
    }

    fn send(&mut self, text: &str) -> Result<()> {
        self.stream
            .write_all(text.as_bytes())
            .and_then(|()| self.stream.flush())
            .context("the server closed the connection")
    }

    /// Waits for one of `ends`; forgets what came before.
    fn wait(&mut self, ends: &[&str], what: &str) -> Result<String> {
        self.heard.clear();
        loop {
            let text = String::from_utf8_lossy(&self.heard).into_owned();
            if ends.iter().any(|end| text.contains(end)) {
                return Ok(text);
            }
            if Instant::now() > self.until || self.heard.len() > LARGEST {
                bail!(
                    "the server did not {what} in time; it said: {}",
                    said(&text)
                );
            }
            let mut part = [0; 4096];
            let length = self
                .stream
                .read(&mut part)
                .with_context(|| format!("the server did not {what}"))?;
            if length == 0 {
                bail!(
                    "the server closed the connection and did not {what}; it said: {}",
                    said(&text)
                );
            }
            self.heard.extend_from_slice(&part[..length]);
        }
    }
}

/// What was heard, for an error that a person reads: the server's words, where it has any (`<text/>`, RFC 6120 §4.9.2, §6.5 and §8.3.2),
/// or its last elements.
fn said(text: &str) -> String {
    /// Characters of an error.
    const LONGEST: usize = 200;
    let words = text
        .rsplit_once("</text>")
        .and_then(|(before, _)| before.rsplit_once("<text"))
        .and_then(|(_, element)| element.split_once('>'))
        .map(|(_, words)| words.trim())
        .filter(|words| !words.is_empty());
    if let Some(words) = words {
        let words = words
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&apos;", "'")
            .replace("&quot;", "\"")
            .replace("&amp;", "&");
        return words.chars().take(LONGEST).collect();
    }
    let left_out = text.chars().count().saturating_sub(LONGEST);
    let end: String = text.chars().skip(left_out).collect();
    match end.find('<') {
        Some(element) if left_out > 0 => end[element..].to_owned(),
        _ => end,
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().enumerate().fold(0_u32, |bits, (place, byte)| {
                bits | u32::from(*byte) << (16 - 8 * place)
            });
            (0..4).map(move |place| {
                if place <= chunk.len() {
                    char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63])
                } else {
                    '='
                }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn what_the_server_said_is_its_words_or_whole_elements() {
        let opening =
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='x' from='a.example'>";
        let error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
            <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>this isn&apos;t a &lt;b&gt; &amp;lt; server</text></stream:error></stream:stream>";
        assert_eq!(
            said(&format!("{opening}{error}")),
            "this isn't a <b> &lt; server"
        );
        let failure =
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
        assert_eq!(said(failure), failure);
        let wordless = "<failure><not-authorized/><text> </text></failure>";
        assert_eq!(said(wordless), wordless);
        let long = format!("{opening}{opening}{opening}{failure}");
        assert_eq!(said(&long), format!("{opening}{failure}"));
        assert_eq!(said(""), "");
    }

    #[test]
    fn a_port_where_nobody_listens_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let account = Account {
            address,
            domain: "perch.local",
            host: "perch.local",
            name: "x",
            password: "y",
            authority: b"",
        };
        let error = send_to_oneself(&account, "hello").unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }
}
