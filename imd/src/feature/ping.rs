//! XMPP ping (XEP-0199).

use async_trait::async_trait;
use imd_proto::ns;

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct Ping;

#[async_trait]
impl Feature for Ping {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::PING]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, ns::PING), (Target::Account, ns::PING)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        if request.account.is_some() && !request.is_own() {
            // Whether an account exists is nobody's business (XEP-0199 §8).
            return Err(imd_proto::Condition::ServiceUnavailable.into());
        }
        Ok(Reply::Empty)
    }
}
