//! The avatar of a room, in its vCard (XEP-0486, XEP-0153).

use base64::Engine as _;
use imd_proto::{Condition, Element, StanzaError, ns};

/// The SHA-1 of the photo in a vCard, hexadecimal; absent when it has none.
///
/// # Errors
/// `bad-request` when the photo is not base64.
pub fn hash(vcard: &Element) -> Result<Option<String>, StanzaError> {
    let Some(data) = vcard
        .child("PHOTO", ns::VCARD)
        .and_then(|photo| photo.child_text("BINVAL"))
    else {
        return Ok(None);
    };
    let data: String = data.split_whitespace().collect();
    if data.is_empty() {
        return Ok(None);
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .map_err(|_| StanzaError::with_text(Condition::BadRequest, "BINVAL is not base64"))?;
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    Ok(Some(
        digest.as_ref().iter().map(|b| format!("{b:02x}")).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vcard(inner: &str) -> Element {
        let text = format!("<vCard xmlns='vcard-temp'>{inner}</vCard>");
        imd_proto::xml::parse_document(&text, imd_proto::xml::Limits::default()).unwrap()
    }

    #[test]
    fn the_hash_is_that_of_the_pictures_bytes() {
        let photo = vcard("<PHOTO><TYPE>image/png</TYPE><BINVAL>YW\n Jj</BINVAL></PHOTO>");
        let sha1_of_abc = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(hash(&photo).unwrap().as_deref(), Some(sha1_of_abc));
        assert_eq!(hash(&vcard("<FN>Tea</FN>")).unwrap(), None);
        let broken = vcard("<PHOTO><BINVAL>***</BINVAL></PHOTO>");
        assert_eq!(hash(&broken).unwrap_err().condition, Condition::BadRequest);
    }
}
