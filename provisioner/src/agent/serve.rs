//! The agent's socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Group, Uid, User, chown};

use super::carry_out::carry_out;
use super::command::{Refusal, Reply, Request, Why};
use crate::files::Files;
use crate::settings::apply::Machine;
use crate::system::System;

/// A command and its texts.
const LONGEST_LINE: u64 = 256 << 10;
/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Commands at the same time.
const MOST: usize = 16;

/// The machine that commands are carried out on; each command gets its own view of it.
pub trait Bench: Send + Sync {
    /// Its files.
    fn files(&self) -> Files;
    /// The system.
    fn system(&self) -> Box<dyn System>;
}

/// Who is answered.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// The web process's user. Absent: root alone.
    pub web: Option<Uid>,
    /// The user that the agent runs as.
    pub own: Uid,
}

impl Callers {
    /// Root, the user that this process runs as, and the named one where it exists.
    ///
    /// # Errors
    /// The users cannot be looked up.
    pub fn with_user(name: &str) -> Result<Self> {
        let user = User::from_name(name).with_context(|| format!("looking up user {name}"))?;
        Ok(Self {
            web: user.map(|user| user.uid),
            own: Uid::current(),
        })
    }

    /// Whether a user is answered.
    pub fn includes(self, uid: Uid) -> bool {
        uid.is_root() || uid == self.own || Some(uid) == self.web
    }
}

/// Makes the socket, in the place of one that a former agent has left. A group may write to it besides root.
///
/// # Errors
/// It cannot be made, or another agent listens there.
pub fn bind(path: &Path, group: Option<&str>) -> Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        bail!("{}: another agent listens there", path.display());
    }
    // What is left there is a file without a listener.
    let _ = std::fs::remove_file(path);
    let listener =
        UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
    if let Some(group) = group {
        let found = Group::from_name(group).with_context(|| format!("looking up group {group}"))?;
        let found = found.with_context(|| format!("there is no group {group}"))?;
        chown(path, None, Some(found.gid))
            .with_context(|| format!("handing on {}", path.display()))?;
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))
        .with_context(|| format!("opening {}", path.display()))?;
    Ok(listener)
}

/// Answers until the process ends.
///
/// # Errors
/// The socket fails.
pub fn serve(listener: &UnixListener, bench: Arc<dyn Bench>, callers: Callers) -> Result<()> {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().context("accepting a command")?;
        if busy.fetch_add(1, Ordering::Relaxed) >= MOST {
            busy.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (bench, busy) = (Arc::clone(&bench), Arc::clone(&busy));
        std::thread::spawn(move || {
            if let Err(error) = talk(&stream, bench.as_ref(), callers) {
                eprintln!("<4>a caller: {error:#}");
            }
            busy.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn talk(stream: &UnixStream, bench: &dyn Bench, callers: Callers) -> Result<()> {
    stream
        .set_read_timeout(Some(PATIENCE))
        .context("setting a time-out")?;
    stream
        .set_write_timeout(Some(PATIENCE))
        .context("setting a time-out")?;
    let credentials = getsockopt(stream, PeerCredentials).context("asking who calls")?;
    let uid = Uid::from_raw(credentials.uid());
    if !callers.includes(uid) {
        bail!("user {uid} may not give commands");
    }
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut line)
        .context("reading a command")?;
    let reply: Reply = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let (files, system) = (bench.files(), bench.system());
            let machine = Machine {
                files: &files,
                system: system.as_ref(),
            };
            carry_out(machine, &request)
        }
        Err(error) => Err(Refusal::new(Why::Invalid, format!("no command: {error}"))),
    };
    let mut text = serde_json::to_vec(&reply).context("writing an answer as JSON")?;
    text.push(b'\n');
    let mut writer = stream;
    writer.write_all(&text).context("answering")
}
