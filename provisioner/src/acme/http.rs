//! The authority's address over HTTPS, by the same client as everything else that the box fetches.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response, request};

/// Answers are certificates and short JSON.
const LARGEST: u64 = 1 << 20;

/// The authority does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// Asks an authority, and remembers until when it wants to be left alone.
#[derive(Clone)]
pub struct Web {
    agent: Agent,
    barred: Arc<Mutex<Option<i64>>>,
}

impl Web {
    /// With a client that takes every status as an answer.
    pub fn new(agent: Agent) -> Self {
        Self {
            agent,
            barred: Arc::default(),
        }
    }

    /// Until when the last refusal bars further questions, in seconds since 1970. `None`: nothing was said.
    pub fn barred(&self) -> Option<i64> {
        *self.barred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, parts: request::Parts, body: &Bytes) -> Result<Response<Bytes>, ureq::Error> {
        let answer = if body.is_empty() {
            self.agent.run(Request::from_parts(parts, ()))?
        } else {
            self.agent.run(Request::from_parts(parts, &body[..]))?
        };
        let (parts, mut body) = answer.into_parts();
        if [429, 503].contains(&parts.status.as_u16()) {
            let until = retry_after(&parts.headers, OffsetDateTime::now_utc().unix_timestamp());
            *self.barred.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
        let bytes = body.with_config().limit(LARGEST).read_to_vec()?;
        Ok(Response::from_parts(parts, Bytes::from(bytes)))
    }
}

impl HttpClient for Web {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let web = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let url = parts.uri.to_string();
            let unreachable = |why: String| Error::Other(Box::new(Unreachable(why)));
            let sending = tokio::task::spawn_blocking(move || web.send(parts, &body.to_bytes()));
            let answer = sending
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            let answer = answer.map_err(|error| unreachable(format!("{url}: {error}")))?;
            let (parts, body) = answer.into_parts();
            Ok(BytesResponse {
                parts,
                body: Box::new(body),
            })
        })
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: i64) -> Option<i64> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<i64>() {
        return Some(now.saturating_add(seconds.max(0)));
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Some(date.unix_timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn both_forms_of_when_to_come_again_are_understood() {
        for (text, until) in [
            ("120", Some(1120)),
            ("Thu, 01 Jan 1970 01:00:00 GMT", Some(3600)),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            assert_eq!(retry_after(&headers, 1000), until, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 1000), None);
    }
}
