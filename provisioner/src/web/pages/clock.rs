//! The browser's clock, for a box that no server tells the time: in the wizard, and later on a page of the administrators'.

use time::format_description::well_known::Iso8601;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::agent::command::{Command, Why};
use crate::agent::status::BoxStatus;
use crate::web::Web;
use crate::web::visitor::{Fields, Visitor};

/// Sets the box's clock to what a form has brought, forward only. Returns whether it was set: a box that time servers tell the
/// time keeps theirs, and a form without an entry changes nothing.
///
/// # Errors
/// What to tell whoever has sent it.
pub async fn take_over(
    web: &Web,
    visitor: &Visitor,
    status: &BoxStatus,
    fields: &Fields,
) -> Result<bool, String> {
    let t = visitor.t;
    // A browser with scripts says it in seconds since 1970; without them a person types it.
    let typed = fields.get("clock");
    let wanted = fields.get("unix").parse().ok().or_else(|| utc(typed));
    if status.clock_is_synchronised || (wanted.is_none() && typed.is_empty()) {
        return Ok(false);
    }
    let unix = wanted.ok_or_else(|| t.m("setup-time-unreadable"))?;
    let command = Command::SetClock { unix };
    match web.agent.ask(visitor.actor(), command).await {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.why == Why::Backward => Err(t.m("setup-time-backward")),
        Err(refusal) => Err(t.with("change-failed", &[("detail", &refusal.text)])),
    }
}

/// A time as a field of the kind `datetime-local` gives it, in UTC.
fn utc(text: &str) -> Option<i64> {
    let whole = if text.len() == 16 {
        format!("{text}:00")
    } else {
        text.to_owned()
    };
    let time = PrimitiveDateTime::parse(&whole, &Iso8601::DEFAULT).ok()?;
    Some(time.assume_utc().unix_timestamp())
        .filter(|unix| OffsetDateTime::from_unix_timestamp(*unix).is_ok())
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn a_typed_time_is_read_as_utc() {
        assert_eq!(utc("2026-12-01T12:00"), Some(1_796_126_400));
        assert_eq!(utc("2026-12-01T12:00:30"), Some(1_796_126_430));
        assert_eq!(utc("tomorrow"), None);
    }
}
