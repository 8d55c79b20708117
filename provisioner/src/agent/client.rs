//! The web process's side of the agent's socket.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::command::{Actor, Answer, Command, Refusal, Reply, Request};
use super::status::BoxStatus;

/// How long a command may take: a change of settings restarts services.
const PATIENCE: Duration = Duration::from_secs(90);

/// The agent.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// The agent that listens there.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Gives a command.
    ///
    /// # Errors
    /// It was refused, or the agent does not answer.
    pub async fn ask(&self, actor: Actor, command: Command) -> Reply {
        let talk = self.talk(Request { actor, command });
        match tokio::time::timeout(PATIENCE, talk).await {
            Ok(reply) => reply.unwrap_or_else(|error| Err(Refusal::from(error))),
            Err(_) => Err(Refusal::from(anyhow!("the agent takes too long"))),
        }
    }

    async fn talk(&self, request: Request) -> anyhow::Result<Reply> {
        let mut stream = UnixStream::connect(&self.socket)
            .await
            .with_context(|| format!("the agent at {}", self.socket.display()))?;
        let mut text = serde_json::to_vec(&request).context("writing a command as JSON")?;
        text.push(b'\n');
        stream.write_all(&text).await.context("asking the agent")?;
        let mut line = String::new();
        BufReader::new(stream)
            .read_line(&mut line)
            .await
            .context("hearing the agent")?;
        serde_json::from_str(&line).context("reading the agent's answer")
    }

    /// What is known of the box.
    ///
    /// # Errors
    /// The agent does not answer.
    pub async fn status(&self) -> Result<BoxStatus, Refusal> {
        match self.ask(Actor::default(), Command::Status).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }
}

/// The answer to another command.
pub fn unexpected(answer: &Answer) -> Refusal {
    Refusal::from(anyhow!("the agent answered {answer:?}"))
}
