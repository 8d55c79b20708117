//! The pages: an unprivileged process behind nginx, which asks the agent and `imd` for everything.
//!
//! - `texts`: the catalogues of all texts; `page`: what every page has; `templates/`, `static/`: what they look like.
//! - `visitor`: who is there (cookie, language, address, session), and what a form brought; `guard`: slows guesses down.
//! - `figures`: how the machine is; `sampler`, `history`: how it was; `verdict`: whether all is well; `chart`: draws it, and has its values for
//!   uPlot.
//! - `held`: secrets between the preview of a change and the change.
//! - `settings_words`: what settings say in English, in the reader's language.
//! - `files`: large files to a browser and from one.
//! - `store`: sessions, in a database of its own; `imd`: the client of the admin API.
//! - `pages/`: one file for each page or group of pages; each has its routes.
//!
//! No page needs scripts. A form is answered with a redirect when it worked, and with itself and the fault when not.

pub mod certificate;
pub mod chart;
pub mod figures;
pub mod files;
pub mod guard;
pub mod held;
pub mod history;
pub mod imd;
pub mod page;
pub mod pages;
pub mod passwords;
pub mod qr;
pub mod said;
pub mod sampler;
pub mod settings_words;
pub mod store;
pub mod texts;
pub mod verdict;
pub mod visitor;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::UnixListener;

use crate::agent::client::Agent;
use crate::agent::command::{Actor, Command};
use crate::files::Files;

/// A form; a file of people is longer and has a limit of its own.
const BODY_BYTES: usize = 64 << 10;

/// What the web process is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The socket that nginx connects to.
    pub socket: PathBuf,
    /// The agent's socket.
    pub agent: PathBuf,
    /// The socket of imd's admin API.
    pub imd: PathBuf,
    /// The folder of its database.
    pub state: PathBuf,
    /// The folder of backups.
    pub backups: PathBuf,
    /// What stands for the root: figures of the machine are read there.
    pub root: PathBuf,
}

/// What all pages share.
pub struct Web {
    /// The agent.
    pub agent: Agent,
    /// The chat server.
    pub imd: imd::Imd,
    /// Sessions.
    pub store: store::Store,
    /// The folder of backups: those for downloading, and in `in` one that is sent.
    pub backups: PathBuf,
    /// Thirty days of figures.
    pub history: history::History,
    /// The root, and a folder on the data partition.
    machine: (PathBuf, PathBuf),
    /// Secrets that wait for a change to be made.
    pub held: held::Held,
    /// Failed sign-ins.
    pub guard: guard::Guard,
    /// Signs tokens of forms and cookies of known browsers.
    pub key: ring::hmac::Key,
}

impl Web {
    /// Opens the database.
    ///
    /// # Errors
    /// It cannot be opened, or there are no random numbers for a new key.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let store = store::Store::open(&options.state.join("web.db"))?;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &store.key()?);
        Ok(Arc::new(Self {
            agent: Agent::new(&options.agent),
            imd: imd::Imd::new(&options.imd),
            store,
            backups: options.backups.clone(),
            history: history::History::open(&options.state.join("history.db"))?,
            machine: (options.root.clone(), options.state.clone()),
            held: held::Held::default(),
            guard: guard::Guard::default(),
            key,
        }))
    }

    /// How the machine is at this moment.
    pub fn look(&self) -> figures::Figures {
        figures::Figures::look(&self.files(), &self.machine.1)
    }

    /// The box's files, as far as a process without rights can read them.
    pub fn files(&self) -> Files {
        Files::new(&self.machine.0)
    }

    /// Writes down what was done without the agent.
    pub async fn record(&self, actor: Actor, action: &str, subject: &str, error: Option<String>) {
        let command = Command::Record {
            action: action.to_owned(),
            subject: subject.to_owned(),
            error,
        };
        if let Err(refusal) = self.agent.ask(actor, command).await {
            eprintln!("<3>{action} {subject} is not in the log: {refusal}");
        }
    }
}

/// All pages.
pub fn router(web: &Arc<Web>) -> Router {
    pages::routes()
        .method_not_allowed_fallback(pages::errors::wrong_method)
        .fallback(pages::errors::not_found)
        .layer(from_fn_with_state(Arc::clone(web), visitor::recognise))
        .layer(from_fn(page::secure))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Arc::clone(web))
}

/// Serves until the process is told to end.
///
/// # Errors
/// The database or the socket cannot be opened.
pub fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let web = Web::open(options)?;
        let listener = listen(&options.socket)?;
        tokio::spawn(sampler::run(Arc::clone(&web)));
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("listening for signals")?;
        axum::serve(listener, router(&web))
            .with_graceful_shutdown(async move {
                ended.recv().await;
            })
            .await
            .context("serving pages")
    })
}

fn listen(path: &Path) -> Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    // systemd empties the folder at each start; a developer's folder may hold a former socket.
    let _ = std::fs::remove_file(path);
    let listener =
        UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))
        .with_context(|| format!("opening {}", path.display()))?;
    Ok(listener)
}
