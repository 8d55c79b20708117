//! Who may make an unclaimed box theirs.
//!
//! Somebody near it (on a private address, or in a network that the box is in), within an hour of the start; or, where
//! `perch.toml` has a `setup_code`, whoever types it. A claim under way belongs to the browser that began it, whose address may
//! become another one on the way (IPv4 and IPv6). It is in memory (`/run`): switching the box off and on opens it again.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::command::{Refusal, Why};
use super::neighbours::{self, OnLink};
use crate::files::{Access, Files};
use crate::firstboot::state::BoxState;
use crate::model::secret::{SetupCode, SetupCodeHash};

/// The claim that is made for good.
pub const MADE: &str = "/var/lib/perch/claim.json";
/// The claim under way, with the tries of codes.
const UNDER_WAY: &str = "/run/perch-agent/claim.json";
/// How long after its start a box without a code can be claimed, in seconds.
pub const OPEN_SECONDS: u64 = 3600;
/// How long a claim under way keeps others out, in seconds.
const PATIENCE_SECONDS: i64 = 1800;
/// So many wrong codes, and then one more in each [`CODE_SECONDS`].
const CODE_TRIES: u32 = 5;
/// As above.
const CODE_SECONDS: i64 = 60;

/// Whose the box is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// Nobody's yet.
    #[default]
    Open,
    /// Somebody is setting it up.
    UnderWay {
        /// Where they are.
        address: IpAddr,
        /// Since when, in seconds since 1970.
        since: i64,
        /// By what the web process knows the browser again.
        #[serde(default)]
        visit: String,
    },
    /// It has an owner.
    Made {
        /// The administrator.
        by: String,
        /// Where they were. Absent: it was claimed by `perch.toml`.
        address: Option<IpAddr>,
        /// When, in seconds since 1970. Absent: not known.
        at: Option<i64>,
        /// Whether the wizard has been gone through.
        set_up: bool,
    },
}

/// What is remembered until the next start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory {
    claim: Claim,
    wrong_codes: u32,
    last_wrong: i64,
}

/// What a decision is made from.
struct Attempt<'a> {
    claim: &'a Claim,
    from: Option<IpAddr>,
    /// The networks that the box is in.
    networks: &'a [OnLink],
    /// Whether the code is right. Absent: the box has none.
    code: Option<bool>,
    uptime: u64,
    now: i64,
}

/// Whether somebody may claim the box. Pure; the table is the test below.
fn decide(attempt: &Attempt<'_>) -> Result<IpAddr, Refusal> {
    let Some(from) = attempt.from else {
        return Err(Refusal::new(Why::NotLocal, "no address"));
    };
    match attempt.claim {
        Claim::Made { .. } => return Err(Refusal::new(Why::Taken, "the box has an owner")),
        Claim::UnderWay { address, since, .. }
            if *address != from && (0..PATIENCE_SECONDS).contains(&(attempt.now - since)) =>
        {
            return Err(Refusal::new(
                Why::Taken,
                format!("{address} is setting it up"),
            ));
        }
        Claim::UnderWay { .. } | Claim::Open => {}
    }
    match attempt.code {
        Some(true) => Ok(from),
        Some(false) => Err(Refusal::new(Why::Code, "not the code of perch.toml")),
        None if !is_near(from, attempt.networks) => {
            let text = format!("{from} is no address of the box's networks");
            Err(Refusal::new(Why::NotLocal, text))
        }
        None if attempt.uptime >= OPEN_SECONDS => Err(Refusal::new(
            Why::TooLate,
            "more than an hour after the start",
        )),
        None => Ok(from),
    }
}

fn is_near(address: IpAddr, networks: &[OnLink]) -> bool {
    is_private(address) || networks.iter().any(|network| network.contains(address))
}

/// Whether an address is one of a local network: RFC 1918, RFC 4193, link-local, or this computer.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// Whose the box is.
///
/// # Errors
/// A file is there but cannot be read.
pub fn current(files: &Files, state: &BoxState) -> Result<Claim> {
    if let Some(made) = read::<Claim>(files, MADE)? {
        return Ok(made);
    }
    if let Some(admin) = &state.admin {
        return Ok(Claim::Made {
            by: admin.as_str().to_owned(),
            address: None,
            at: None,
            set_up: true,
        });
    }
    Ok(read::<Memory>(files, UNDER_WAY)?.unwrap_or_default().claim)
}

/// Makes the one at `from` the owner-to-be. `visit`: by what the browser is known again.
///
/// # Errors
/// The [`Why`] of a refusal, or it cannot be kept.
pub fn begin(
    files: &Files,
    now: OffsetDateTime,
    wanted: &Option<SetupCodeHash>,
    from: Option<IpAddr>,
    code: Option<&str>,
    visit: &str,
) -> Result<(), Refusal> {
    let now = now.unix_timestamp();
    let claim = current(files, &BoxState::load(files)?)?;
    let mut memory = read::<Memory>(files, UNDER_WAY)?.unwrap_or_default();
    let code = match wanted {
        None => None,
        Some(hash) => Some(check_code(files, &mut memory, now, hash, code)?),
    };
    let attempt = Attempt {
        claim: &claim,
        from,
        networks: &neighbours::look(files),
        code,
        uptime: uptime(files),
        now,
    };
    let address = decide(&attempt)?;
    memory.claim = Claim::UnderWay {
        address,
        since: now,
        visit: visit.to_owned(),
    };
    Ok(write(files, UNDER_WAY, &memory)?)
}

fn check_code(
    files: &Files,
    memory: &mut Memory,
    now: i64,
    hash: &SetupCodeHash,
    code: Option<&str>,
) -> Result<bool, Refusal> {
    let Some(code) = code else { return Ok(false) };
    let since = now - memory.last_wrong;
    if memory.wrong_codes >= CODE_TRIES && (0..CODE_SECONDS).contains(&since) {
        return Err(Refusal::new(Why::Wait, "too many wrong codes"));
    }
    let right = SetupCode::new(code).is_some_and(|code| hash.is_of(&code));
    if !right {
        memory.wrong_codes += 1;
        memory.last_wrong = now;
        write(files, UNDER_WAY, memory)?;
    }
    Ok(right)
}

/// Makes the claim that a browser has begun one for good.
///
/// # Errors
/// This browser is not setting the box up, or it cannot be kept.
pub fn finish(
    files: &Files,
    now: OffsetDateTime,
    by: &str,
    from: Option<IpAddr>,
    visit: &str,
) -> Result<(), Refusal> {
    match current(files, &BoxState::load(files)?)? {
        Claim::UnderWay { visit: own, .. } if own == visit && !visit.is_empty() => {}
        _ => {
            return Err(Refusal::new(
                Why::Taken,
                "another browser is setting the box up",
            ));
        }
    }
    let made = Claim::Made {
        by: by.to_owned(),
        address: from,
        at: Some(now.unix_timestamp()),
        set_up: false,
    };
    Ok(write(files, MADE, &made)?)
}

/// Notes that the wizard has been gone through.
///
/// # Errors
/// It cannot be kept.
pub fn set_up(files: &Files) -> Result<(), Refusal> {
    if let Some(Claim::Made {
        by, address, at, ..
    }) = read::<Claim>(files, MADE)?
    {
        let set_up = true;
        let made = Claim::Made {
            by,
            address,
            at,
            set_up,
        };
        write(files, MADE, &made)?;
    }
    Ok(())
}

/// Seconds since the box was started; very many if that cannot be told.
pub fn uptime(files: &Files) -> u64 {
    let text = files.read("/proc/uptime").ok().flatten();
    text.and_then(|text| text.split('.').next()?.parse().ok())
        .unwrap_or(u64::MAX)
}

fn read<T: serde::de::DeserializeOwned>(files: &Files, path: &str) -> Result<Option<T>> {
    let text = files.read(path)?;
    text.map(|text| serde_json::from_str(&text).with_context(|| format!("reading {path}")))
        .transpose()
}

fn write<T: Serialize>(files: &Files, path: &str, value: &T) -> Result<()> {
    let text = serde_json::to_vec(value).context("writing a claim as JSON")?;
    files.replace(path, &text, Access::Root).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_claim_a_box() {
        let at_home: IpAddr = "192.168.1.23".parse().unwrap();
        let other: IpAddr = "fd00::7".parse().unwrap();
        let outside: IpAddr = "203.0.113.9".parse().unwrap();
        let global: IpAddr = "2001:db8:0:1::7".parse().unwrap();
        let global_outside: IpAddr = "2001:db8:0:2::7".parse().unwrap();
        let under_way = |since| Claim::UnderWay {
            address: at_home,
            since,
            visit: "v".to_owned(),
        };
        let made = Claim::Made {
            by: "anna".to_owned(),
            address: Some(at_home),
            at: Some(0),
            set_up: false,
        };
        let now = 100_000;
        let networks = [OnLink::new("2001:db8:0:1::".parse().unwrap(), 64)];
        let table = [
            (Claim::Open, at_home, None, 60, Ok(at_home)),
            (Claim::Open, other, None, 3599, Ok(other)),
            (Claim::Open, at_home, None, 3600, Err(Why::TooLate)),
            (Claim::Open, outside, None, 60, Err(Why::NotLocal)),
            (Claim::Open, global, None, 60, Ok(global)),
            (Claim::Open, global, None, 3600, Err(Why::TooLate)),
            (Claim::Open, global_outside, None, 60, Err(Why::NotLocal)),
            (under_way(now - 60), global, None, 60, Err(Why::Taken)),
            (Claim::Open, outside, Some(true), 90_000, Ok(outside)),
            (Claim::Open, at_home, Some(false), 60, Err(Why::Code)),
            (under_way(now - 60), at_home, None, 60, Ok(at_home)),
            (under_way(now - 60), other, None, 60, Err(Why::Taken)),
            (under_way(now - 60), other, Some(true), 60, Err(Why::Taken)),
            (under_way(now - 1800), other, None, 60, Ok(other)),
            // The clock has been set back.
            (under_way(now + 60), other, None, 60, Ok(other)),
            (made.clone(), at_home, None, 60, Err(Why::Taken)),
            (made, at_home, Some(true), 60, Err(Why::Taken)),
        ];
        for (claim, from, code, uptime, expected) in table {
            let attempt = Attempt {
                claim: &claim,
                from: Some(from),
                networks: &networks,
                code,
                uptime,
                now,
            };
            let decided = decide(&attempt).map_err(|refusal| refusal.why);
            assert_eq!(decided, expected, "{claim:?} {from} {code:?} {uptime}");
        }
    }
}
