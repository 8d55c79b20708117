//! Entity time (XEP-0202), and how the server writes times (XEP-0082).

use async_trait::async_trait;
use imd_proto::{Element, ns};
use imd_store::UnixMillis;
use time::{OffsetDateTime, macros::format_description};

use super::{Answer, Feature, Reply, Request, Target};

pub(super) struct Time;

/// A time in UTC with milliseconds, as XEP-0082 writes it.
#[must_use]
pub fn format(millis: UnixMillis) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&format).ok())
        // Only years that XEP-0082 cannot write come here.
        .unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned())
}

/// Read a time of XEP-0082; absent when it is none.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    let time =
        OffsetDateTime::parse(text.trim(), &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[async_trait]
impl Feature for Time {
    fn server_features(&self) -> Vec<&'static str> {
        vec![ns::TIME]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, ns::TIME)]
    }

    async fn request(&self, _: &Request<'_>) -> Answer {
        let now = format(imd_store::now_millis());
        Ok(Reply::With(
            Element::new("time", ns::TIME)
                .with_child(Element::new("tzo", ns::TIME).with_text("+00:00"))
                .with_child(Element::new("utc", ns::TIME).with_text(now)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_xep_0082_says() {
        assert_eq!(format(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(parse("2023-11-14T22:13:20.123Z"), Some(1_700_000_000_123));
        assert_eq!(parse("2023-11-14T23:13:20+01:00"), Some(1_700_000_000_000));
        assert_eq!(parse("yesterday"), None);
    }
}
