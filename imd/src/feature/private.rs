//! Private XML storage (XEP-0049).

use async_trait::async_trait;
use imd_proto::{Condition, Element, StanzaError, ns, xml};

use super::pubsub::{bookmarks, host::Host};
use super::{Answer, Feature, Reply, Request, Target, store_error};

pub(super) struct Private;

#[async_trait]
impl Feature for Private {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::PRIVATE]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Account, ns::PRIVATE)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let (_, user) = request.own()?;
        let element = request.payload.first_child().ok_or_else(|| {
            StanzaError::with_text(
                Condition::BadRequest,
                "the query needs a child that says what is stored",
            )
        })?;
        let store = &request.server.store;
        if request.is_set() {
            let max = request.server.config.limits.private_elements;
            store
                .set_private_xml(user, element.name(), element.ns(), element.to_xml(), max)
                .await
                .map_err(|e| store_error(&e))?;
            if element.ns() == bookmarks::OLD {
                bookmarks::take(&Host::account(request.server, user), element).await?;
            }
            return Ok(Reply::Empty);
        }
        let stored = store
            .private_xml(user, element.name(), element.ns())
            .await
            .map_err(|e| store_error(&e))?;
        let content = match stored {
            Some(text) => {
                let limits = xml::Limits {
                    stanza_bytes: usize::MAX,
                    depth: 1000,
                    elements: usize::MAX,
                };
                xml::parse_document(&text, limits)
                    .map_err(|_| StanzaError::new(Condition::InternalServerError))?
            }
            None => element.clone(),
        };
        let content = if element.ns() == bookmarks::OLD {
            match bookmarks::all(&Host::account(request.server, user)).await? {
                Some(all) => bookmarks::storage(&all, Some(&content)),
                None => content,
            }
        } else {
            content
        };
        Ok(Reply::With(
            Element::new("query", ns::PRIVATE).with_child(content),
        ))
    }
}
