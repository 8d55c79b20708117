//! `provisioner backup target`: whether the target for backups can be used, and what is missing for that.

use anyhow::{Result, bail, ensure};

use crate::noted::{noted, who};
use provisioner::backup::outcome::Outcomes;
use provisioner::backup::target::{configured, host_key, state, work};
use provisioner::settings::apply::Machine;
use provisioner::settings::change::{change, request_of_pairs};
use provisioner::settings::target::Target;

#[derive(clap::Args)]
pub struct Options {
    /// Accept the server's host key, if this is its fingerprint.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with_all = ["forget", "remove"])]
    accept: Option<String>,
    /// Accept no host key of the server any more.
    #[arg(long, conflicts_with = "remove")]
    forget: bool,
    /// Take the target out of the settings. What lies there stays.
    #[arg(long)]
    remove: bool,
}

pub fn run(machine: Machine<'_>, options: &Options) -> Result<bool> {
    let files = machine.files;
    let Some(target) = configured(machine) else {
        bail!(
            "the settings have no target: `provisioner settings set backup.target=sftp://user@host/folder`"
        );
    };
    if options.remove {
        let pairs = Target::KEYS.map(|key| (key.to_owned(), String::new()));
        let done =
            request_of_pairs(machine, &pairs).and_then(|request| change(machine, &request, &who()));
        noted(machine, "settings.change", "backup.target", done)?;
        return Ok(true);
    }
    if options.forget {
        let done = host_key::forget(files);
        noted(machine, "backup.forget-host-key", "", done)?;
    }
    if let Some(fingerprint) = &options.accept {
        let done = state::accept(files, &target, fingerprint).and_then(|is_accepted| {
            ensure!(is_accepted, "no host key with this fingerprint waits");
            Ok(())
        });
        noted(machine, "backup.accept-host-key", fingerprint, done)?;
    }
    print(machine)
}

/// Prints what lies there, and what went wrong last.
pub fn print(machine: Machine<'_>) -> Result<bool> {
    let files = machine.files;
    let Some(target) = configured(machine) else {
        return Ok(true);
    };
    println!("{}:", target.url.as_str());
    let tried = work::list(machine, &target);
    if let Some(view) = state::view(files)? {
        for (what, value) in [
            ("the box's key", view.public_key),
            ("accepted host key", view.accepted),
            ("host key that waits", view.offered),
        ] {
            if let Some(value) = value {
                println!("  {what}: {value}");
            }
        }
    }
    let outcomes = Outcomes::load(files);
    if let Some(error) = outcomes
        .0
        .get("target")
        .and_then(|last| last.error.as_ref())
    {
        println!("  the last backup was not sent: {error}");
    }
    match tried {
        Ok(lying) => {
            for lying in lying {
                println!("  {}  {} bytes", lying.name, lying.bytes);
            }
            Ok(true)
        }
        Err(error) => {
            println!("  {error:#}");
            Ok(false)
        }
    }
}
