//! Decides what to do about each setting, from what is wanted and what is there. No I/O.

use super::setting::{Setting, Wanted};

/// One place where a setting is set, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which setting's place, and how to reach it.
    pub target: Target,
    /// What it holds.
    pub state: State,
}

/// A single thing that can be read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of /proc or /sys.
    File(String),
    /// A property of a systemd unit.
    Unit {
        /// Such as `imd.service`.
        unit: String,
        /// Such as `LimitNOFILE`.
        property: String,
    },
    /// A key of journald.conf.
    Journald(String),
    /// An option of a mounted file system.
    Mount {
        /// Where it is mounted.
        path: String,
        /// Such as `commit`.
        option: String,
    },
    /// The queue discipline of a network device.
    Qdisc(String),
    /// The device /dev/zram0 as swap.
    Zram {
        /// Size of the swap space in bytes.
        size: u64,
        /// Priority among swap spaces.
        priority: u16,
    },
}

impl Target {
    /// Where it is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Unit { unit, property } => format!("{unit} {property}"),
            Self::Journald(_) => "journald.conf".to_owned(),
            Self::Mount { path, option } => format!("{path} {option}"),
            Self::Qdisc(device) => device.clone(),
            Self::Zram { .. } => "/dev/zram0".to_owned(),
        }
    }
}

/// What a place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It has this value; `offered` lists what the kernel says it takes there, if it says so.
    Value {
        /// White space made single, and of a list with a `[selected]` word that word.
        value: String,
        /// What may be chosen. `None`: not told.
        offered: Option<Vec<String>>,
    },
    /// The machine has no such thing; the text says what is missing.
    Absent(String),
    /// It is there, but cannot be read; the text says why.
    Unreadable(String),
}

/// What to do in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The setting's name.
    pub name: String,
    /// Where.
    pub target: Target,
    /// What is wanted, for people.
    pub wanted: String,
    /// What was there. `None`: nothing that could be read.
    pub before: Option<String>,
    /// What is to be done.
    pub change: Change,
    /// Why the setting is wanted.
    pub reason: String,
    /// Where it is explained.
    pub source: String,
    /// As in [`Setting`].
    pub may_refuse: bool,
}

/// What is to be done in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is as wanted.
    None,
    /// Write this.
    Write(String),
    /// The machine lacks it.
    NotAvailable(String),
    /// It is there, but not usable.
    Broken(String),
}

/// The steps for one setting: one for each place observed, or a single "not available" when there is none.
pub fn plan(setting: &Setting, observed: &[Observed]) -> Vec<Step> {
    observed.iter().map(|place| step(setting, place)).collect()
}

fn step(setting: &Setting, observed: &Observed) -> Step {
    let wanted = describe(&setting.wanted, &observed.target);
    let (before, change) = match &observed.state {
        State::Absent(why) => (None, Change::NotAvailable(why.clone())),
        State::Unreadable(why) => (None, Change::Broken(why.clone())),
        State::Value { value, offered } => (
            Some(value.clone()),
            decide(&setting.wanted, &observed.target, value, offered.as_deref()),
        ),
    };
    Step {
        name: setting.name.clone(),
        target: observed.target.clone(),
        wanted,
        before,
        change,
        reason: setting.reason.clone(),
        source: setting.source.clone(),
        may_refuse: setting.may_refuse,
    }
}

fn decide(wanted: &Wanted, target: &Target, value: &str, offered: Option<&[String]>) -> Change {
    let choices = match wanted {
        Wanted::Exactly(text) => vec![text.clone()],
        Wanted::AtLeast(least) => match value.parse::<u64>() {
            Ok(number) if number >= *least => return Change::None,
            _ => vec![least.to_string()],
        },
        Wanted::FirstOf(choices) => choices.clone(),
        Wanted::SameAs(file) => match offered {
            Some(offered) => offered.to_vec(),
            None => return Change::NotAvailable(format!("no {file} beside it")),
        },
    };
    let choice = choices
        .iter()
        .find(|choice| offered.is_none_or(|offered| offered.contains(choice)));
    let Some(choice) = choice else {
        return Change::NotAvailable(format!(
            "this kernel offers only {}",
            offered.unwrap_or_default().join(", ")
        ));
    };
    let written = match target {
        Target::Zram { size, priority } => super::zram::describe(choice, *size, *priority),
        _ => choice.clone(),
    };
    if normal(&written) == normal(value) {
        Change::None
    } else if let Target::Mount { .. } = target {
        Change::NotAvailable(format!("the initrd of this slot gave it {value}"))
    } else {
        Change::Write(written)
    }
}

fn describe(wanted: &Wanted, target: &Target) -> String {
    let text = match wanted {
        Wanted::Exactly(text) => text.clone(),
        Wanted::AtLeast(least) => format!("at least {least}"),
        Wanted::FirstOf(choices) => choices.join(" or "),
        Wanted::SameAs(file) => format!("as {file}"),
    };
    match target {
        Target::Zram { size, priority } => super::zram::describe(&text, *size, *priority),
        _ => text,
    }
}

/// A value with its white space made single, for comparing.
pub fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The selected word and all words of a kernel list such as `none [mq-deadline] kyber`; `None` for another text.
pub fn selection(text: &str) -> Option<(String, Vec<String>)> {
    let bare = |word: &str| word.trim_matches(['[', ']']).to_owned();
    let selected = text
        .split_whitespace()
        .find(|word| word.starts_with('[') && word.ends_with(']'))?;
    Some((bare(selected), text.split_whitespace().map(bare).collect()))
}
