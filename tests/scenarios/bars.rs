//! The memory bar of `imd`: under 12 KiB for each idle TLS session, with 2,000 of them.
//!
//! Measured on the unoptimised build, which is what the other tests have built; a released one needs no more. The
//! other bar, an idle server under 15 MB, is checked on the booted box (`virt`), with the program that is shipped.

use anyhow::{Context, Result, ensure};
use perch_tests::host_imd::HostImd;
use perch_tests::lab::Lab;
use perch_tests::xmpp::{Client, Connector, Login};

const SESSIONS: usize = 2_000;
const ACCOUNTS: usize = 200;
/// How many log in at once: the daemon's work, not its memory, is what takes the time.
const AT_ONCE: usize = 20;
const SESSION_KIB: f64 = 12.0;

#[test]
#[ignore = "run `ci/test --only bars`"]
fn two_thousand_idle_sessions_are_small() -> Result<()> {
    let lab = Lab::new("bars", "memory")?;
    let imd = HostImd::start(&lab)?;
    let idle = resident_kib(imd.pid())?;
    for number in 0..ACCOUNTS {
        imd.add_user(&format!("user{number}"), "password")?;
    }
    let before = resident_kib(imd.pid())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start tokio")?;
    let sessions = runtime.block_on(open_sessions(&imd))?;
    ensure!(
        sessions.len() == SESSIONS,
        "{} sessions are open",
        sessions.len()
    );
    let after = resident_kib(imd.pid())?;
    let each = kib(after.saturating_sub(before)) / kib(SESSIONS as u64);
    lab.note(&format!(
        "idle {idle} KiB; with {SESSIONS} idle TLS sessions {after} KiB: {each:.1} KiB for each session"
    ));
    ensure!(
        each < SESSION_KIB,
        "an idle session costs {each:.1} KiB; the bar is {SESSION_KIB} KiB"
    );
    drop(sessions);
    lab.passed();
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of a test are far below 2^52"
)]
fn kib(value: u64) -> f64 {
    value as f64
}

/// Logged in, available, and silent.
async fn open_sessions(imd: &HostImd) -> Result<Vec<Client>> {
    let connector = Connector::new(&imd.server.ca, &imd.server.domain, imd.server.direct_tls)?;
    let mut sessions = Vec::with_capacity(SESSIONS);
    for first in (0..SESSIONS).step_by(AT_ONCE) {
        let mut opening = tokio::task::JoinSet::new();
        for number in first..(first + AT_ONCE).min(SESSIONS) {
            let connector = connector.clone();
            opening.spawn(async move {
                let user = format!("user{}", number % ACCOUNTS);
                let mut client = connector
                    .log_in(&user, "password", &format!("r{number}"), Login::Plain)
                    .await?;
                client
                    .send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
                    .await?;
                client.read_past("<enabled").await?;
                Ok::<_, anyhow::Error>(client)
            });
        }
        while let Some(opened) = opening.join_next().await {
            sessions.push(opened.context("a login's task")??);
        }
    }
    Ok(sessions)
}

/// The resident memory of a process.
fn resident_kib(pid: u32) -> Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("read imd's status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .with_context(|| format!("VmRSS is {line:?}"))
}
