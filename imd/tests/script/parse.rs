//! Reads a conversation: one step per line, XML in the indented lines below it.

use anyhow::{Result, bail};

/// A line of a conversation.
#[derive(Debug)]
pub struct Step {
    /// Where it stands, from 1.
    pub line: usize,
    pub what: What,
}

/// What is to be done.
#[derive(Debug)]
pub enum What {
    /// Settings of the server, in TOML.
    Settings(String),
    Account {
        name: String,
        options: Vec<String>,
    },
    Server(Server),
    /// Requests to the admin API, one on each line, and whether they are carried out.
    Administrator {
        requests: String,
        refused: bool,
    },
    Client {
        who: Who,
        act: Act,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Server {
    Restarts,
    Stops,
    Starts,
}

/// A client: an account and a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Who {
    pub user: String,
    pub resource: String,
}

#[derive(Debug)]
pub enum Act {
    Connects(Vec<String>),
    CannotConnect {
        options: Vec<String>,
        condition: String,
    },
    Opens(Vec<String>),
    Sends(String),
    SendsRaw(String),
    Receives {
        block: String,
        exactly: bool,
        any_order: bool,
    },
    ReceivesNothing,
    Ignores(String),
    Forgets,
    Disconnects,
    Breaks,
    Resumes,
    CannotResume,
    IsDisconnected(Option<String>),
}

/// Read a whole conversation.
pub fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let line_number = at + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            bail!("line {line_number}: nothing before this takes indented lines");
        }
        let mut block = String::new();
        let sentence = line.trim_end();
        if sentence.ends_with(':') || sentence == "settings" {
            while let Some((_, next)) =
                lines.next_if(|(_, l)| l.trim().is_empty() || l.starts_with([' ', '\t']))
            {
                block.push_str(next.trim());
                block.push('\n');
            }
            if block.trim().is_empty() {
                bail!("line {line_number}: {sentence:?} needs indented lines below it");
            }
        }
        match step(sentence.trim_end_matches(':'), block) {
            Ok(what) => steps.push(Step {
                line: line_number,
                what,
            }),
            Err(error) => bail!("line {line_number}: {error}"),
        }
    }
    Ok(steps)
}

fn step(sentence: &str, block: String) -> Result<What> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let list = |words: &[&str]| {
        words
            .iter()
            .map(|w| w.trim_end_matches(',').to_owned())
            .collect()
    };
    Ok(match words[..] {
        ["settings"] => What::Settings(block),
        ["account", name, ref options @ ..] => What::Account {
            name: name.to_owned(),
            options: list(options),
        },
        ["administrator", "asks"] => What::Administrator {
            requests: block,
            refused: false,
        },
        ["administrator", "is", "refused"] => What::Administrator {
            requests: block,
            refused: true,
        },
        ["server", "restarts"] => What::Server(Server::Restarts),
        ["server", "stops"] => What::Server(Server::Stops),
        ["server", "starts"] => What::Server(Server::Starts),
        [who, ref act @ ..] => What::Client {
            who: name(who),
            act: self::act(act, block, list)?,
        },
        [] => bail!("a step is missing"),
    })
}

fn name(text: &str) -> Who {
    let (user, resource) = text.split_once('/').unwrap_or((text, "main"));
    Who {
        user: user.to_owned(),
        resource: resource.to_owned(),
    }
}

fn act(words: &[&str], block: String, list: impl Fn(&[&str]) -> Vec<String>) -> Result<Act> {
    let receives = |exactly, any_order| Act::Receives {
        block: block.clone(),
        exactly,
        any_order,
    };
    Ok(match *words {
        ["connects"] => Act::Connects(Vec::new()),
        ["connects", "with", ref options @ ..] => Act::Connects(list(options)),
        ["cannot", "connect", ref rest @ .., "because", condition] => Act::CannotConnect {
            options: list(rest.strip_prefix(&["with"]).unwrap_or(rest)),
            condition: condition.to_owned(),
        },
        ["opens", "a", "stream"] => Act::Opens(Vec::new()),
        ["opens", "a", "stream", "with", ref options @ ..] => Act::Opens(list(options)),
        ["sends"] => Act::Sends(block),
        ["sends", "raw"] => Act::SendsRaw(block),
        ["receives"] => receives(false, false),
        ["receives", "exactly"] => receives(true, false),
        ["receives", "in", "any", "order"] => receives(false, true),
        ["receives", "nothing"] => Act::ReceivesNothing,
        ["ignores"] => Act::Ignores(block),
        ["forgets"] => Act::Forgets,
        ["disconnects"] => Act::Disconnects,
        ["breaks"] => Act::Breaks,
        ["resumes"] => Act::Resumes,
        ["cannot", "resume"] => Act::CannotResume,
        ["is", "disconnected"] => Act::IsDisconnected(None),
        ["is", "disconnected", "with", condition] => {
            Act::IsDisconnected(Some(condition.to_owned()))
        }
        _ => bail!(
            "{:?} is no step; see tests/conversations/README.md",
            words.join(" ")
        ),
    })
}
