//! `imd serve`: start, run, shut down.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Config;
use crate::server::Server;
use crate::session::saved;
use crate::shutdown::Shutdown;
use crate::{listen, notify};

// A stop takes ten seconds at the most; what is written at the end needs some of them.
const _: () = assert!(
    2 * ROOMS_CLOSE.as_millis()
        + DRAIN.as_millis()
        + SERVERS_DRAIN.as_millis()
        + PUSH_DRAIN.as_millis()
        + RUNTIME_END.as_millis()
        <= 9_000
);
/// How long rooms have to say goodbye to their occupants, before the clients are told and once more after it.
const ROOMS_CLOSE: Duration = Duration::from_secs(1);
/// How long clients have to take their goodbye.
const DRAIN: Duration = Duration::from_secs(5);
/// How long other servers and components have after that.
const SERVERS_DRAIN: Duration = Duration::from_secs(1);
/// How long notifications that have been answered have to be accounted for.
const PUSH_DRAIN: Duration = Duration::from_millis(500);
/// How long tasks that go on after everything have to end.
const RUNTIME_END: Duration = Duration::from_millis(500);

pub(super) fn command(file: &Path) -> Result<ExitCode> {
    init_log();
    let config = match super::settings(file) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.request();
        });
        serve(config, shutdown, |_| {}).await
    });
    // Whoever is left after the deadline is not waited for.
    runtime.shutdown_timeout(RUNTIME_END);
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Log to standard error, which systemd takes to the journal. `IMD_LOG` chooses what, as in `info,imd=debug`; absent: `info`.
pub(crate) fn init_log() {
    let wanted = std::env::var("IMD_LOG").unwrap_or_default();
    let (filter, wrong) = log_filter(&wanted);
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    // The journal has its own time stamps. A second call, as in tests, changes nothing.
    let all = tracing_subscriber::registry().with(filter);
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        all.with(log.without_time()).try_init()
    } else {
        all.with(log).try_init()
    };
    if let Some(error) = wrong {
        tracing::warn!(
            "IMD_LOG is {wanted:?}: {error}; accepted are levels and targets, as in \"info,imd=debug\""
        );
    }
}

/// What is logged, and what is wrong with the wish for it.
fn log_filter(wanted: &str) -> (Targets, Option<ParseError>) {
    let usual = Targets::new().with_default(LevelFilter::INFO);
    if wanted.trim().is_empty() {
        return (usual, None);
    }
    match wanted.parse() {
        Ok(filter) => (filter, None),
        Err(error) => (usual, Some(error)),
    }
}

/// Serve until shutdown is asked for. `ready` is called with the listening addresses once clients can connect.
///
/// # Errors
/// When the certificate, the database or an address cannot be used; each error names its file or address.
pub async fn serve(
    config: Config,
    shutdown: Shutdown,
    ready: impl FnOnce(&[(std::net::SocketAddr, bool)]),
) -> Result<()> {
    let files = listen::files::raise_limit().context("cannot raise the limit of open files")?;
    let acceptors = listen::tls::Current::new(&config)?;
    // From here on a hang-up does not end the daemon.
    let hangups = signal(SignalKind::hangup())?;
    let opening = config.clone();
    let store = tokio::task::spawn_blocking(move || super::open_store(&opening, true)).await??;
    let store = Arc::new(store);
    // Connections end when this one is requested, which is a little later.
    let server = Server::new(config, store, Shutdown::default())?;
    crate::feature::pubsub::Channels::enter(&server);
    let bound = listen::bind(&server.config.listen)?;
    let parts = crate::web::Parts::start(&server).await?;
    let web = listen::http::bind(&server.config.listen)?;
    let servers = listen::servers::bind(&server.config)?;
    let hosts = listen::servers::Hosts::new(&server)?;
    saved::restore(&server)
        .await
        .context("cannot take up the sessions from before")?;
    let addresses = bound.addresses()?;
    let web_addresses = web.addresses()?;
    for (address, direct) in &addresses {
        let way = if *direct { "direct TLS" } else { "STARTTLS" };
        tracing::info!(%address, way, "listening for clients");
    }
    for (address, tls) in &web_addresses {
        tracing::info!(%address, tls, "listening for HTTP");
    }
    for (address, way) in servers.addresses()? {
        tracing::info!(%address, ?way, "listening for servers");
    }
    tracing::info!(domain = %server.config.domain, open_files = files, "ready");
    notify::ready(&format!(
        "{}: ready, up to {files} open files",
        server.config.domain
    ));
    ready(&addresses);
    let settling = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { crate::admin::groups::settle_all(&server).await })
    };
    let upkeep = tokio::spawn(crate::upkeep::run(Arc::clone(&server)));
    let heart = tokio::spawn(heartbeat(Arc::clone(&server)));
    let strain = {
        let server = Arc::clone(&server);
        tokio::spawn(async move { crate::load::watch(&server).await })
    };
    let renewing = renew_certificates(Arc::clone(&server), acceptors.clone(), hangups);
    let renewing = tokio::spawn(renewing);
    let clients = listen::run(Arc::clone(&server), acceptors.clone(), bound);
    let browsers = listen::http::run(Arc::clone(&server), acceptors, web, parts);
    let others = listen::servers::run(Arc::clone(&server), hosts.clone(), servers);
    let mut listening = tokio::spawn(async { tokio::join!(clients, browsers) });
    let others = tokio::spawn(others);
    shutdown.requested().await;
    notify::stopping();
    // Before anybody's connection ends: each occupant hears of one end, its own, and not of everybody's.
    close_rooms(&server).await;
    server.shutdown.request();
    // Whoever came in meanwhile.
    close_rooms(&server).await;
    tracing::info!(sessions = server.directory.len(), "shutting down");
    if tokio::time::timeout(DRAIN, &mut listening).await.is_err() {
        tracing::warn!(
            sessions = server.directory.len(),
            "some clients did not take their goodbye in time"
        );
    }
    // After the clients, whose goodbye other servers have to hear of.
    let streams = async {
        hosts.shut_down().await;
        others.await
    };
    if tokio::time::timeout(SERVERS_DRAIN, streams).await.is_err() {
        tracing::warn!("some servers did not take their goodbye in time");
    }
    heart.abort();
    strain.abort();
    renewing.abort();
    server.asked.close();
    if tokio::time::timeout(PUSH_DRAIN, server.push.finished())
        .await
        .is_err()
    {
        tracing::warn!("some notifications were still on their way");
    }
    settling.abort();
    upkeep.abort();
    if let Err(error) = saved::save(&server).await {
        tracing::error!(%error, "sessions cannot be resumed after the restart");
    }
    // What has been taken is written before the process ends.
    if let Err(error) = server.store.close().await {
        tracing::error!(%error, "the last writes failed");
    }
    tracing::info!("stopped");
    Ok(())
}

async fn close_rooms(server: &Arc<Server>) {
    let rooms = server.rooms.close(server);
    if tokio::time::timeout(ROOMS_CLOSE, rooms).await.is_err() {
        tracing::warn!("some rooms did not say goodbye in time");
    }
}

/// Tell systemd that the runtime still turns, and how many are online.
async fn heartbeat(server: Arc<Server>) {
    let interval = notify::watchdog_interval().unwrap_or(Duration::from_secs(60));
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        notify::alive();
        notify::status(&format!(
            "{}: {} sessions",
            server.config.domain,
            server.directory.len()
        ));
    }
}

/// Read the certificates again at each SIGHUP. New connections get the new ones, those that are there go on.
async fn renew_certificates(
    server: Arc<Server>,
    acceptors: listen::tls::Current,
    mut asked: Signal,
) {
    while asked.recv().await.is_some() {
        let (server, acceptors) = (Arc::clone(&server), acceptors.clone());
        let renewed = tokio::task::spawn_blocking(move || acceptors.renew(&server.config)).await;
        match renewed.map_err(anyhow::Error::from).flatten() {
            Ok(()) => tracing::info!("the certificates were read again"),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the certificates stay as they were"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_log_has_what_was_wished_for_or_says_what_is_wrong_with_the_wish() {
        for wanted in ["", "info"] {
            let (filter, wrong) = log_filter(wanted);
            assert!(wrong.is_none(), "{wanted:?}");
            assert!(filter.would_enable("hyper", &Level::INFO));
            assert!(!filter.would_enable("imd", &Level::DEBUG));
        }
        let (filter, wrong) = log_filter("info,imd=debug");
        assert!(wrong.is_none());
        assert!(filter.would_enable("imd::route", &Level::DEBUG));
        assert!(!filter.would_enable("hyper", &Level::DEBUG));
        let (filter, wrong) = log_filter("imd=loud");
        assert!(wrong.is_some());
        assert!(filter.would_enable("imd", &Level::INFO));
    }
}
