//! vCards (XEP-0054).

use async_trait::async_trait;
use imd_proto::{Condition, Element, StanzaError, ns, xml};

use super::{Answer, Feature, Reply, Request, Target, avatar, store_error};

pub(super) struct Vcard;

#[async_trait]
impl Feature for Vcard {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::VCARD]
    }

    fn account_features(&self) -> Vec<&'static str> {
        vec![ns::VCARD]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Account, ns::VCARD)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let account = request.account.as_ref().ok_or(Condition::ItemNotFound)?;
        let store = &request.server.store;
        if request.is_set() {
            let (_, user) = request.own()?;
            let vcard =
                (request.payload.children().next().is_some()).then(|| request.payload.to_xml());
            store
                .set_vcard(account.as_str(), vcard)
                .await
                .map_err(|e| store_error(&e))?;
            avatar::vcard_written(request.server, user, request.payload).await?;
            return Ok(Reply::Empty);
        }
        match store
            .vcard(account.as_str())
            .await
            .map_err(|e| store_error(&e))?
        {
            Some(text) => {
                let limits = xml::Limits {
                    stanza_bytes: usize::MAX,
                    depth: 1000,
                    elements: usize::MAX,
                };
                let vcard = xml::parse_document(&text, limits)
                    .map_err(|_| StanzaError::new(Condition::InternalServerError))?;
                Ok(Reply::With(vcard))
            }
            // XEP-0054 §3.1: the owner gets an empty vCard, others learn nothing.
            None if request.is_own() => Ok(Reply::With(Element::new("vCard", ns::VCARD))),
            None => Err(Condition::ItemNotFound.into()),
        }
    }
}
