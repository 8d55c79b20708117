//! The log of administration, for what is changed on the command line.

use anyhow::Result;
use provisioner::agent::audit;
use provisioner::settings::apply::Machine;

/// Who has come in over sudo or SSH, as far as the shell tells; on a box it is root.
pub fn who() -> String {
    let name = ["SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty() && !name.chars().any(char::is_control));
    format!("{} (command line)", name.as_deref().unwrap_or("root"))
}

/// Writes an act into the log, whatever came of it; `subject` has no secrets.
pub fn noted<T>(
    machine: Machine<'_>,
    action: &str,
    subject: impl Into<String>,
    outcome: Result<T>,
) -> Result<T> {
    let entry = audit::Entry {
        at: String::new(),
        who: who(),
        action: action.to_owned(),
        subject: subject.into(),
        error: outcome.as_ref().err().map(|error| format!("{error:#}")),
    };
    if let Err(error) = audit::add(machine.files, machine.system.now(), entry) {
        // A full disk must not keep the owner from mending it.
        eprintln!("the log of administration: {error:#}");
    }
    outcome
}
