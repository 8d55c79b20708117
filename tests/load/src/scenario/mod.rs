//! What users do, and what it is found to cost.

mod apart;
mod chat;
mod closed;
mod hostile;
mod mixed;
mod open;
mod reconnect;
mod rooms;
mod storm;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::LocalSet;

use crate::board::Counts;
use crate::crowd::{Crowd, Logins};
use crate::login::{Server, Transport, Way};
use crate::options::{Run, Scenario};
use crate::plot;
use crate::process::{Sample, kernel_objects, machine_cpu, own_cpu};
use crate::result::{Machine, Outcome};
use crate::scram::Keys;
use crate::tls::Tls;

/// A run that goes on.
struct Trial {
    options: Run,
    crowd: Crowd,
    outcome: Outcome,
    /// The server's process; another after a restart.
    pid: Option<u32>,
}

/// What happened between two moments.
struct Spent {
    counts: Counts,
    server: Sample,
    /// Processor time of this tool, in seconds.
    own: f64,
    /// That of everything on this machine.
    busy: f64,
    seconds: f64,
}

impl Spent {
    /// Processors that others used meanwhile: what is measured beside them is measured badly.
    fn others(&self) -> f64 {
        (self.busy - self.own - self.server.cpu) / self.seconds
    }
}

/// What was held before anybody came.
struct Before {
    server: Sample,
    /// By the kernel, for its own objects.
    kernel: u64,
}

/// The beginning of a measurement.
struct Mark {
    counts: Counts,
    server: Sample,
    own: f64,
    busy: f64,
    at: Instant,
}

/// Runs a scenario, prints what it found and writes the files that were asked for.
///
/// # Errors
///
/// The server did not take the users, or a file could not be written; with `--strict` also when a message or session was
/// lost.
pub fn run(options: Run) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")?;
    LocalSet::new().block_on(&runtime, async {
        let mut trial = Trial::new(options)?;
        trial.begin();
        let done = trial.scenario().await;
        trial.crowd.leave();
        trial.save_keys()?;
        done?;
        trial.finish()
    })
}

impl Trial {
    fn new(options: Run) -> Result<Self> {
        let alpn = match options.transport {
            Transport::DirectTls => Some("xmpp-client"),
            Transport::Websocket => Some("http/1.1"),
            Transport::Starttls => None,
        };
        let keys = match &options.keys {
            Some(file) => Keys::open(file)?,
            None => Keys::default(),
        };
        let server = Server {
            domain: options.domain.clone(),
            address: options.address,
            transport: options.transport,
            way: options.way,
            password: options.password.clone(),
            one_address: options.one_address,
            prefix: options.prefix.clone(),
            stream_management: !options.no_stream_management,
            tls: Tls::new(&options.domain, options.tickets, alpn)?,
            keys: RefCell::new(keys),
            tokens: RefCell::new(HashMap::new()),
        };
        Ok(Self {
            crowd: Crowd::new(server, options.users),
            outcome: Outcome::default(),
            pid: options.pid,
            options,
        })
    }

    fn begin(&mut self) {
        let word = |value: &dyn std::fmt::Debug| json!(format!("{value:?}").to_lowercase());
        let at_once = self.at_once();
        let o = &self.options;
        let outcome = &mut self.outcome;
        outcome.server.clone_from(&o.name);
        outcome.version.clone_from(&o.version);
        outcome.scenario = format!("{:?}", o.scenario).to_lowercase();
        outcome.label = o.label.clone().unwrap_or_else(|| outcome.scenario.clone());
        outcome.machine = Machine::here();
        let mut parameters = vec![
            ("users", json!(o.users)),
            ("at_once", json!(at_once)),
            ("transport", word(&o.transport)),
            ("way", word(&o.way)),
            ("tickets", json!(o.tickets)),
            ("stream_management", json!(!o.no_stream_management)),
            ("seconds", json!(o.seconds)),
        ];
        match o.scenario {
            Scenario::Open | Scenario::Hostile => parameters.push(("rate", json!(o.rate))),
            Scenario::Storm => parameters.push(("witnesses", json!(o.witnesses))),
            Scenario::Closed => parameters.push(("in_flight", json!(o.in_flight))),
            Scenario::Room | Scenario::Rooms | Scenario::Mixed => {
                parameters.extend([("rate", json!(o.rate)), ("occupants", json!(o.occupants))])
            }
            _ => {}
        }
        for (name, value) in parameters {
            outcome.parameters.insert(name.to_owned(), value);
        }
        for note in &o.notes {
            let (name, value) = note.split_once('=').unwrap_or((note, ""));
            outcome.parameters.insert(name.to_owned(), json!(value));
        }
    }

    async fn scenario(&mut self) -> Result<()> {
        match self.options.scenario {
            Scenario::Storm => self.storm().await,
            Scenario::Hostile => self.hostile().await,
            Scenario::Login => {
                self.arrive().await?;
                self.note_dropped();
                Ok(())
            }
            Scenario::Open => self.open().await,
            Scenario::Highest => self.highest().await,
            Scenario::Closed => self.closed().await,
            Scenario::Room => self.one_room().await,
            Scenario::Rooms => self.many_rooms().await,
            Scenario::Reconnect => self.reconnect().await,
            Scenario::Mixed => self.mixed().await,
        }
    }

    fn at_once(&self) -> u32 {
        match self.options.scenario {
            Scenario::Storm => self.options.users,
            _ => self.options.at_once,
        }
    }

    /// What the server has used until now; nothing where its process is not known.
    fn sample(&self) -> Result<Sample> {
        self.pid.map_or(Ok(Sample::default()), Sample::of)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            counts: self.crowd.board.counts(),
            server: self.sample()?,
            own: own_cpu(),
            busy: machine_cpu(),
            at: Instant::now(),
        })
    }

    fn since(&self, mark: &Mark) -> Result<Spent> {
        Ok(Spent {
            seconds: mark.at.elapsed().as_secs_f64(),
            counts: self.crowd.board.counts().since(&mark.counts),
            server: self.sample()?.since(&mark.server),
            own: own_cpu() - mark.own,
            busy: machine_cpu() - mark.busy,
        })
    }

    async fn silence(&self) {
        tokio::time::sleep(Duration::from_secs_f64(self.options.quiet)).await;
    }

    /// Everybody logs in; what that cost, and what an idle session holds.
    async fn arrive(&mut self) -> Result<()> {
        let before = self.come(0).await?;
        self.rest(&before, self.options.users).await
    }

    /// All from this number on log in. What the server held before.
    async fn come(&mut self, first: u32) -> Result<Before> {
        if self.options.way == Way::Fast {
            self.ask_for_tokens().await?;
        }
        let before = Before {
            server: self.sample()?,
            kernel: kernel_objects(),
        };
        let mark = self.mark()?;
        let derived = self.crowd.server.keys.borrow().derived();
        let users = first..self.options.users;
        let logins = self.crowd.log_in_some(users, self.at_once()).await?;
        let derived = self.crowd.server.keys.borrow().derived() - derived;
        let spent = self.since(&mark)?;
        self.note_logins("", &logins, &spent);
        self.outcome.figure("passwords_derived", derived as f64);
        Ok(before)
    }

    /// What each of so many sessions holds when nothing happens any more.
    async fn rest(&mut self, before: &Before, users: u32) -> Result<()> {
        self.silence().await;
        let idle = self.sample()?;
        let each =
            |after: u64, before: u64| (after as f64 - before as f64) / 1024.0 / f64::from(users);
        let o = &mut self.outcome;
        o.figure("session_rss_kib", each(idle.rss, before.server.rss));
        o.figure("session_pss_kib", each(idle.pss, before.server.pss));
        // Each session has two sockets on this machine, the server's and this tool's.
        let kernel = each(kernel_objects(), before.kernel) / 2.0;
        o.figure("socket_kernel_kib", kernel);
        o.figure("server_rss_mib", idle.rss as f64 / f64::from(1 << 20));
        o.figure("server_files", idle.files as f64);
        Ok(())
    }

    /// FAST needs a token, which comes with a login by password. The first use of a token ends the one before, which is
    /// written; what is measured is one of the many that follow.
    async fn ask_for_tokens(&self) -> Result<()> {
        let server = &self.crowd.server;
        for user in (0..self.options.users).chain(0..self.options.users) {
            let mut conn = server.log_in(user, None).await?.conn;
            conn.send(b"</stream:stream>")?;
            // Until the server has ended the stream, too: a session that waits to be resumed would make the next login dearer.
            while conn.stanza().await.is_ok() {}
        }
        let tokens = server.tokens.borrow().len();
        ensure!(
            tokens == self.options.users as usize,
            "the server gave {tokens} tokens to {} users",
            self.options.users
        );
        Ok(())
    }

    fn note_logins(&mut self, prefix: &str, logins: &Logins, spent: &Spent) {
        let n = logins.took.count() as f64;
        let o = &mut self.outcome;
        let mut figure = |name: &str, value| o.figure(&format!("{prefix}{name}"), value);
        figure("logins", n);
        figure("logins_per_s", n / logins.seconds);
        figure("logins_refused", logins.refused as f64);
        figure("logins_failed", logins.failed as f64);
        figure("server_cpu_ms_per_login", spent.server.cpu * 1e3 / n);
        figure("server_kernel_ms_per_login", spent.server.system * 1e3 / n);
        figure("server_cores_at_login", spent.server.cpu / spent.seconds);
        figure("others_cores_at_login", spent.others());
        figure("tool_cpu_ms_per_login", spent.own * 1e3 / n);
        figure(
            "server_written_bytes_per_login",
            spent.server.written as f64 / n,
        );
        o.latency(&format!("{prefix}login"), &logins.took);
    }

    /// Notes what was spent on messages: for each of `operations`.
    fn note_spent(&mut self, spent: &Spent, operations: f64, what: &str) {
        let o = &mut self.outcome;
        let each = |value: f64| value / operations.max(1.0);
        o.figure(
            &format!("server_cpu_ms_per_{what}"),
            each(spent.server.cpu * 1e3),
        );
        o.figure(
            &format!("server_kernel_ms_per_{what}"),
            each(spent.server.system * 1e3),
        );
        o.figure(&format!("tool_cpu_ms_per_{what}"), each(spent.own * 1e3));
        o.figure(
            &format!("server_switches_per_{what}"),
            each((spent.server.voluntary + spent.server.involuntary) as f64),
        );
        o.figure(
            &format!("server_written_bytes_per_{what}"),
            each(spent.server.written as f64),
        );
        o.figure("server_cores", spent.server.cpu / spent.seconds);
        o.figure("tool_cores", spent.own / spent.seconds);
        o.figure("others_cores", spent.others());
        o.figure(
            "server_rss_after_mib",
            spent.server.rss as f64 / f64::from(1 << 20),
        );
    }

    /// Notes what went wrong since the run began.
    fn note_faults(&mut self) {
        let counts = self.crowd.board.counts();
        let o = &mut self.outcome;
        o.figure("sent", counts.sent as f64);
        o.figure("lost", counts.missing() as f64);
        o.figure("doubled", counts.doubled as f64);
        o.figure("out_of_order", counts.late as f64);
        let not_acked = match self.crowd.acks() {
            true => counts.sent.saturating_sub(counts.acked),
            false => 0,
        };
        o.figure("not_acked", not_acked as f64);
        o.figure("errors", counts.errors as f64);
        self.note_dropped();
        let board = &self.crowd.board;
        self.outcome.latency("delivery", &board.delivery.borrow());
        if board.reflection.borrow().count() > 0 {
            self.outcome
                .latency("reflection", &board.reflection.borrow());
        }
        self.outcome.latency("ack", &board.acks.borrow());
        self.outcome.latency("lateness", &board.lateness.borrow());
    }

    fn note_dropped(&mut self) {
        let dropped = self.crowd.board.counts().dropped;
        self.outcome.figure("dropped", dropped as f64);
    }

    fn save_keys(&self) -> Result<()> {
        let keys = self.crowd.server.keys.borrow();
        self.options
            .keys
            .as_ref()
            .map_or(Ok(()), |file| keys.save(file))
    }

    fn finish(mut self) -> Result<Outcome> {
        let outcome = &mut self.outcome;
        outcome.date = OffsetDateTime::now_utc().format(&Rfc3339)?;
        for (name, value) in &outcome.figures {
            println!("{name:32} {value:>14.3}");
        }
        for (name, l) in outcome.latencies.iter().filter(|(_, l)| l.count > 0) {
            println!(
                "{name:24} ms: p50 {:.3}  p90 {:.3}  p99 {:.3}  p99.9 {:.3}  max {:.3}  ({})",
                l.p50, l.p90, l.p99, l.p999, l.max, l.count
            );
        }
        if let Some(file) = &self.options.out {
            outcome.write(file)?;
        }
        if let Some(file) = &self.options.plot {
            plot::write(outcome, file)?;
        }
        let faults = [
            "lost",
            "doubled",
            "out_of_order",
            "dropped",
            "errors",
            "not_acked",
            "comers_not_let_in",
            "growing",
            "over_the_bar",
        ];
        let found = |name: &&str| outcome.figures.get(*name).is_some_and(|n| *n > 0.0);
        let found: Vec<_> = faults.into_iter().filter(found).collect();
        ensure!(
            !self.options.strict || found.is_empty(),
            "not clean: {}",
            found.join(", ")
        );
        Ok(self.outcome)
    }

    /// The shared place for tasks of a scenario.
    fn crowd(&self) -> Rc<Crowd> {
        Rc::new(self.crowd.clone())
    }
}
