//! Uptime of the server (XEP-0012 §5).

use async_trait::async_trait;
use imd_proto::{Element, ns};

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct Last;

#[async_trait]
impl Feature for Last {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::LAST_ACTIVITY]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, ns::LAST_ACTIVITY)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        let seconds = request.server.started.elapsed().as_secs();
        Ok(Reply::With(
            Element::new("query", ns::LAST_ACTIVITY).with_attr("seconds", seconds.to_string()),
        ))
    }
}
