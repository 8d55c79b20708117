//! The agent of a booted box, asked as its pages ask it.

use anyhow::{Context, Result};
use provisioner::agent::SOCKET;
use provisioner::agent::command::{Actor, Answer, Command, Reply, Request};
use provisioner::model::AccountName;

use crate::vm::Vm;

/// Hands its standard input to the agent and prints the answer. The image has no other program that can.
const ASK: &str = "my $s = IO::Socket::UNIX->new(Peer => shift) or die $!; print $s <STDIN>; $s->flush; print scalar <$s>";

fn line(command: Command) -> Result<Vec<u8>> {
    let name = AccountName::new("anna").map_err(anyhow::Error::msg)?;
    let actor = Actor {
        name: Some(name),
        address: None,
    };
    let mut line = serde_json::to_vec(&Request { actor, command }).context("write a command")?;
    line.push(b'\n');
    Ok(line)
}

/// Gives a command as the administrator Anna.
///
/// # Errors
///
/// The agent refused it, or cannot be reached.
pub fn ask(vm: &Vm, command: Command) -> Result<Answer> {
    let asked = format!("perl -MIO::Socket::UNIX -e '{ASK}' {SOCKET}");
    let said = vm.run_with_input(&asked, &line(command)?)?;
    let reply: Reply =
        serde_json::from_str(&said).with_context(|| format!("the agent said {said:?}"))?;
    Ok(reply?)
}

/// Gives a command whose answer may not reach us.
///
/// # Errors
///
/// The guest cannot be reached now.
pub fn tell(vm: &Vm, command: Command) -> Result<()> {
    vm.run_with_input("cat >/run/asked", &line(command)?)?;
    vm.run(&format!(
        "systemd-run --quiet --no-block --property=StandardInput=file:/run/asked perl -MIO::Socket::UNIX -e '{ASK}' {SOCKET}"
    ))
    .map(drop)
}
