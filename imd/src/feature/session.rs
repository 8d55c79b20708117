//! Session establishment (RFC 3921 §3): nothing is left of it but the answer that older clients wait for.

use async_trait::async_trait;
use imd_proto::ns;

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct SessionRequest;

#[async_trait]
impl Feature for SessionRequest {
    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![
            (Target::Server, ns::SESSION),
            (Target::Account, ns::SESSION),
        ]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        request.own()?;
        Ok(Reply::Empty)
    }
}
