//! Avatars, one picture seen through two protocols (XEP-0398): the nodes of XEP-0084 and the photo of the vCard, whose
//! hash stands in presence (XEP-0153).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use imd_proto::{Element, StanzaError, ns};
use ring::digest;

use super::pubsub::host::Host;
use super::pubsub::node::NodeConfig;
use super::pubsub::{publish, read};
use super::{Feature, store_error};
use crate::route::{presence, read_stored};
use crate::server::Server;

/// The node of the pictures themselves (XEP-0084).
pub const DATA: &str = "urn:xmpp:avatar:data";
/// The node that says which picture is shown (XEP-0084).
pub const METADATA: &str = "urn:xmpp:avatar:metadata";
/// Accounts whose avatar's hash is remembered; when there are more, all are forgotten and read again.
const REMEMBERED: usize = 20_000;

/// Clients break lines and leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) struct Avatar;

#[async_trait]
impl Feature for Avatar {
    fn account_features(&self) -> Vec<&'static str> {
        vec!["urn:xmpp:pep-vcard-conversion:0"]
    }
}

/// The hashes of the avatars of accounts in use: absent is not known, `None` is no avatar.
#[derive(Debug, Default)]
pub struct Avatars {
    hashes: Mutex<HashMap<String, Option<Arc<str>>>>,
}

impl Avatars {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<str>>>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, user: &str, hash: Option<Arc<str>>) {
        let mut hashes = self.lock();
        if hashes.len() >= REMEMBERED {
            hashes.clear();
        }
        hashes.insert(user.to_owned(), hash);
    }

    /// Forget an account, because its vCard has changed or is gone.
    pub fn forget(&self, user: &str) {
        self.lock().remove(user);
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Picture {
    /// Its media type, e.g. `image/png`.
    kind: String,
    bytes: Vec<u8>,
}

impl Picture {
    /// What both protocols name it by: SHA-1 in hexadecimal digits.
    fn hash(&self) -> String {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.bytes)
            .as_ref()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    BASE64.decode(packed).ok().filter(|bytes| !bytes.is_empty())
}

/// The photo of a vCard; `None`: it has none, or one that is only an address.
fn photo(vcard: &Element) -> Option<Picture> {
    let photo = vcard.child("PHOTO", ns::VCARD)?;
    let bytes = decode(&photo.child_text("BINVAL")?)?;
    let kind = photo
        .child_text("TYPE")
        .filter(|kind| kind.starts_with("image/"))
        .unwrap_or_else(|| kind_of(&bytes).to_owned());
    Some(Picture { kind, bytes })
}

/// The media type that a picture's first bytes tell.
fn kind_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'G', b'I', b'F', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        _ => "image/png",
    }
}

/// The vCard with another photo, or without.
fn with_photo(mut vcard: Element, picture: Option<&Picture>) -> Element {
    vcard.remove_children(|c| c.is("PHOTO", ns::VCARD));
    if let Some(picture) = picture {
        let text = |name: &'static str, text: String| Element::new(name, ns::VCARD).with_text(text);
        vcard.push(
            Element::new("PHOTO", ns::VCARD)
                .with_child(text("TYPE", picture.kind.clone()))
                .with_child(text("BINVAL", BASE64.encode(&picture.bytes))),
        );
    }
    vcard
}

/// Put the hash of the own avatar into available presence, where the client did not say one itself (XEP-0398 §3).
pub fn complete(presence: &mut Element, hash: Option<&str>) {
    let said = presence
        .child("x", ns::VCARD_UPDATE)
        .is_some_and(|x| x.child("photo", ns::VCARD_UPDATE).is_some());
    if let (false, Some(hash)) = (said, hash) {
        replace(presence, Some(hash));
    }
}

/// Put a hash into presence, whatever was there.
fn replace(presence: &mut Element, hash: Option<&str>) {
    presence.remove_children(|c| c.is("x", ns::VCARD_UPDATE));
    let photo = Element::new("photo", ns::VCARD_UPDATE).with_text(hash.unwrap_or_default());
    presence.push(Element::new("x", ns::VCARD_UPDATE).with_child(photo));
}

/// The hash of an account's avatar; `None`: it has none, or it cannot be read.
pub async fn hash(server: &Server, user: &str) -> Option<Arc<str>> {
    if let Some(known) = server.avatars.lock().get(user) {
        return known.clone();
    }
    let vcard = match server.store.vcard(server.account_jid(user).as_str()).await {
        Ok(vcard) => vcard,
        Err(error) => {
            tracing::warn!(user, %error, "cannot read a vCard for its photo");
            return None;
        }
    };
    let hash = vcard
        .and_then(|text| read_stored(&text))
        .and_then(|vcard| photo(&vcard))
        .map(|picture| Arc::from(picture.hash()));
    server.avatars.remember(user, hash.clone());
    hash
}

/// An account has published which picture it shows: put it into its vCard.
///
/// # Errors
/// When the store fails.
pub async fn metadata_published(
    host: &Host<'_>,
    id: &str,
    metadata: &Element,
) -> Result<(), StanzaError> {
    let Some(user) = &host.user else {
        return Ok(());
    };
    let failed = |e: imd_store::StoreError| store_error(&e);
    let store = &host.server.store;
    let info = metadata
        .children()
        .find(|c| c.is("info", METADATA) && c.attr("url").is_none());
    let picture = match info {
        None if metadata.first_child().is_some() => return Ok(()), // Only on the web: nothing to put there.
        None => None,
        Some(info) => {
            let id = info.attr("id").unwrap_or(id);
            let item = store
                .item(host.jid.as_str(), DATA, id)
                .await
                .map_err(failed)?;
            let bytes = item
                .as_ref()
                .and_then(read::read_payload)
                .and_then(|data| decode(&data.text()));
            let Some(bytes) = bytes else {
                // The picture has not been published, or it is none.
                return Ok(());
            };
            let kind = info.attr("type").unwrap_or_else(|| kind_of(&bytes));
            Some(Picture {
                kind: kind.to_owned(),
                bytes,
            })
        }
    };
    let vcard = store.vcard(host.jid.as_str()).await.map_err(failed)?;
    let vcard = vcard
        .and_then(|text| read_stored(&text))
        .unwrap_or_else(|| Element::new("vCard", ns::VCARD));
    if photo(&vcard) == picture {
        return Ok(());
    }
    let vcard = with_photo(vcard, picture.as_ref());
    let text = vcard.first_child().is_some().then(|| vcard.to_xml());
    store
        .set_vcard(host.jid.as_str(), text)
        .await
        .map_err(failed)?;
    shown(host.server, user, picture.map(|p| Arc::from(p.hash()))).await;
    Ok(())
}

/// An account has written its vCard: publish its photo where it is another one.
///
/// # Errors
/// When the store fails.
pub async fn vcard_written(
    server: &Arc<Server>,
    user: &str,
    vcard: &Element,
) -> Result<(), StanzaError> {
    let before = hash(server, user).await;
    let picture = photo(vcard);
    let now: Option<Arc<str>> = picture.as_ref().map(|p| Arc::from(p.hash()));
    if before == now {
        return Ok(());
    }
    let host = Host::account(server, user);
    let mut metadata = Element::new("metadata", METADATA);
    let mut id = "current".to_owned();
    if let (Some(picture), Some(now)) = (&picture, &now) {
        let data = Element::new("data", DATA).with_text(BASE64.encode(&picture.bytes));
        publish::put_own(&host, DATA, NodeConfig::pep(), now, &data).await?;
        metadata.push(
            Element::new("info", METADATA)
                .with_attr("bytes", picture.bytes.len().to_string())
                .with_attr("id", &**now)
                .with_attr("type", picture.kind.as_str()),
        );
        id = now.to_string();
    }
    publish::put_own(&host, METADATA, NodeConfig::pep(), &id, &metadata).await?;
    shown(server, user, now).await;
    Ok(())
}

/// Another picture is shown from now on: say so in the presence of all sessions.
async fn shown(server: &Arc<Server>, user: &str, hash: Option<Arc<str>>) {
    server.avatars.remember(user, hash.clone());
    for session in server.directory.sessions(user) {
        let Some(before) = session.presence() else {
            continue;
        };
        let mut element = (*before.element).clone();
        replace(&mut element, hash.as_deref());
        presence::show_again(server, &session, element).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn xml(text: &str) -> Element {
        parse_document(text, Limits::default()).unwrap()
    }

    #[test]
    fn a_photo_goes_into_a_vcard_and_comes_out() {
        let picture = Picture {
            kind: "image/png".into(),
            bytes: vec![1, 2, 3],
        };
        let vcard =
            xml("<vCard xmlns='vcard-temp'><FN>A</FN><PHOTO><BINVAL>AAAA</BINVAL></PHOTO></vCard>");
        let with = with_photo(vcard, Some(&picture));
        assert_eq!(photo(&with), Some(picture));
        let without = with_photo(with, None);
        assert_eq!(without, xml("<vCard xmlns='vcard-temp'><FN>A</FN></vCard>"));
    }

    #[test]
    fn a_photo_with_line_breaks_and_no_padding_is_read() {
        let vcard =
            xml("<vCard xmlns='vcard-temp'><PHOTO><BINVAL>\n/9j\n/</BINVAL></PHOTO></vCard>");
        assert_eq!(
            photo(&vcard),
            Some(Picture {
                kind: "image/jpeg".into(),
                bytes: vec![0xff, 0xd8, 0xff]
            })
        );
        assert_eq!(
            photo(&xml(
                "<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>https://x</EXTVAL></PHOTO></vCard>"
            )),
            None
        );
    }

    #[test]
    fn presence_says_the_hash_where_the_client_says_none() {
        let x = |inner: &str| {
            xml(&format!(
                "<presence xmlns='jabber:client'>{inner}</presence>"
            ))
        };
        let update = "<x xmlns='vcard-temp:x:update'><photo>h</photo></x>";
        for (before, after) in [
            ("", update),
            ("<x xmlns='vcard-temp:x:update'/>", update),
            (
                "<x xmlns='vcard-temp:x:update'><photo/></x>",
                "<x xmlns='vcard-temp:x:update'><photo/></x>",
            ),
            (
                "<x xmlns='vcard-temp:x:update'><photo>other</photo></x>",
                "<x xmlns='vcard-temp:x:update'><photo>other</photo></x>",
            ),
        ] {
            let mut presence = x(before);
            complete(&mut presence, Some("h"));
            assert_eq!(presence, x(after), "{before}");
        }
        let mut presence = x("");
        complete(&mut presence, None);
        assert_eq!(presence, x(""));
    }
}
