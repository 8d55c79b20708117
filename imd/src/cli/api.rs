//! How the command line reaches the admin API: over the daemon's Unix socket, so that what is done counts at once, or,
//! while no daemon runs, by the same router in this process, over the database.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::service::Service as _;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use imd_store::UpkeepStore as _;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::config::Config;
use crate::server::Server;
use crate::shutdown::Shutdown;
use crate::web::api::{self, problem::Problem};

/// What all commands of administrators have.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// The settings file of the server.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/perch/imd.toml",
        global = true
    )]
    pub(super) config: PathBuf,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// What the server refused.
#[derive(Debug)]
pub(super) struct Refused(Problem);

impl Refused {
    /// 3 where something is missing or in the way, as scripts want to know; 1 otherwise.
    pub(super) fn code(&self) -> u8 {
        match self.0.status {
            404 | 409 => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl std::error::Error for Refused {}

enum Way {
    /// The daemon's socket.
    Socket(PathBuf),
    /// No daemon runs.
    Here(Arc<Server>, Arc<imd_store::sqlite::SqliteStore>),
}

/// The admin API.
pub(super) struct Api {
    way: Way,
    json: bool,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    /// Reach the server of a settings file. The inner error is an exit code, with everything said already.
    pub(super) fn open(common: &Common) -> Result<Result<Self, ExitCode>> {
        let config = match super::settings(&common.config) {
            Ok(config) => config,
            Err(code) => return Ok(Err(code)),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        Ok(Ok(Self {
            way: way(config, &runtime)?,
            json: common.json,
            runtime,
        }))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, String::new())
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value> {
        self.ask("DELETE", path, String::new())
    }

    /// Send a value as JSON.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<Value> {
        self.ask(method, path, serde_json::to_string(body)?)
    }

    /// Send a request; the answer, `null` where it has no body.
    pub(super) fn ask(&self, method: &str, path: &str, body: String) -> Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", api::PATH))
            .header("host", "localhost")
            .body(Full::new(Bytes::from(body)))?;
        let (status, body) = self.runtime.block_on(self.carry(request))?;
        if status < 400 {
            return match body.is_empty() {
                true => Ok(Value::Null),
                false => serde_json::from_slice(&body).context("the server's answer is no JSON"),
            };
        }
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(Refused(problem).into()),
            Err(_) => Err(anyhow!("the server answers with status {status}")),
        }
    }

    async fn carry(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes)> {
        match &self.way {
            Way::Here(server, _) => {
                let service = TowerToHyperService::new(api::for_socket(server));
                let response = service.call(request).await;
                match response {
                    Ok(response) => whole(response).await,
                    Err(never) => match never {},
                }
            }
            Way::Socket(path) => {
                let failed = || format!("cannot talk to the daemon over {}", path.display());
                let stream = UnixStream::connect(path).await.with_context(failed)?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .with_context(failed)?;
                let connection = tokio::spawn(connection);
                let response = sender.send_request(request).await.with_context(failed)?;
                let answer = whole(response).await.with_context(failed);
                connection.abort();
                answer
            }
        }
    }

    /// Print an answer: as it is where JSON is wanted, else in words.
    pub(super) fn print(&self, answer: &Value, words: impl FnOnce(&Value) -> String) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            let words = words(answer);
            if !words.is_empty() {
                println!("{}", words.trim_end_matches('\n'));
            }
        }
        Ok(())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Way::Here(_, store) = &self.way {
            // What has been answered is on the disk already.
            let _ = self.runtime.block_on(store.close());
        }
    }
}

async fn whole<B>(response: Response<B>) -> Result<(u16, Bytes)>
where
    B: hyper::body::Body,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, body))
}

/// The daemon's socket where one answers; else the database.
fn way(config: Config, runtime: &tokio::runtime::Runtime) -> Result<Way> {
    if let Some(path) = &config.listen.admin
        && answers(path)?
    {
        return Ok(Way::Socket(path.clone()));
    }
    let store = Arc::new(super::open_store(&config, false)?);
    let _context = runtime.enter();
    let server = Server::new(config, Arc::clone(&store) as _, Shutdown::default())?;
    Ok(Way::Here(server, store))
}

/// Whether a daemon listens at a socket.
fn answers(path: &Path) -> Result<bool> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(anyhow!(
            "cannot use the daemon's socket {} (listen.admin): {error}; run this as root or as a member of its group",
            path.display()
        )),
    }
}

/// A part of a path: what stands in it is no `/`.
pub(super) fn part(text: &str) -> String {
    crate::web::percent_encoded(text)
}

/// A text of an answer; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// A list of texts, separated by spaces.
pub(super) fn words(value: &Value, key: &str) -> String {
    let list = value[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    words.join(" ")
}

/// One line for each element of a list.
pub(super) fn lines(value: &Value, line: impl Fn(&Value) -> String) -> String {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|v| line(v) + "\n").collect()
}
