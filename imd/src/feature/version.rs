//! Software version (XEP-0092).

use async_trait::async_trait;
use imd_proto::{Element, ns};

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct Version;

#[async_trait]
impl Feature for Version {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::VERSION]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, ns::VERSION)]
    }

    async fn request(&self, _: &Request<'_>) -> Answer {
        // The operating system is left out: it helps only those who look for holes.
        Ok(Reply::With(
            Element::new("query", ns::VERSION)
                .with_child(Element::new("name", ns::VERSION).with_text("imd"))
                .with_child(
                    Element::new("version", ns::VERSION).with_text(env!("CARGO_PKG_VERSION")),
                ),
        ))
    }
}
