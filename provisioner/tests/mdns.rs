//! Two machines on one network: each a network namespace, joined by a cable. Needs root and `ip`; says so if it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};

use provisioner::mdns::is_taken;

/// What this program plays when it is started again inside a namespace.
const ROLE: &str = "PERCH_MDNS_TEST";

struct Network(Vec<String>);

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Two namespaces with an address each. `None` where this machine does not allow it.
fn network() -> Option<Network> {
    let names = ["a", "b"].map(|end| format!("perch{}{end}", std::process::id()));
    let ip = |line: &str| {
        let output = Command::new("ip").args(line.split(' ')).output();
        output.is_ok_and(|output| output.status.success())
    };
    let [a, b] = &names;
    let network = Network(names.to_vec());
    let made = ip(&format!("netns add {a}"))
        && ip(&format!("netns add {b}"))
        && ip(&format!(
            "link add v1 netns {a} type veth peer name v2 netns {b}"
        ))
        && ip(&format!("-n {a} addr add 10.9.0.1/24 dev v1"))
        && ip(&format!("-n {b} addr add 10.9.0.2/24 dev v2"))
        && ip(&format!("-n {a} link set v1 up"))
        && ip(&format!("-n {b} link set v2 up"))
        && ip(&format!("netns exec {a} true"));
    if !made {
        println!("SKIPPED: this machine cannot make network namespaces");
    }
    made.then_some(network)
}

fn start(namespace: &str, role: &str) -> Child {
    Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "plays_its_role_in_a_namespace", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The line that a role prints after `mark`.
fn wait_for(child: &mut Child, mark: &str) -> String {
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines
        .map(Result::unwrap)
        .find_map(|line| line.split_once(mark).map(|(_, rest)| rest.to_owned()))
        .unwrap()
}

/// A machine named `perch`: answers every question that names it, by unicast.
fn respond() -> ! {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).unwrap();
    socket
        .join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 251), &Ipv4Addr::new(10, 9, 0, 1))
        .unwrap();
    println!("ready:");
    loop {
        let mut packet = [0; 1500];
        let (length, from) = socket.recv_from(&mut packet).unwrap();
        let question = &packet[12..length];
        if question.starts_with(b"\x05perch\x05local\x00") {
            let mut answer = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            answer.extend(
                b"\x05perch\x05local\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x0a\x09\x00\x01",
            );
            socket.send_to(&answer, from).unwrap();
        }
    }
}

#[test]
fn plays_its_role_in_a_namespace() {
    let role = std::env::var(ROLE).unwrap_or_default();
    match role.split_once(' ') {
        Some(("ask", name)) => println!("answer:{:?}", is_taken(name).unwrap()),
        Some(("be", "perch")) => respond(),
        _ => {}
    }
}

#[test]
fn a_name_that_another_machine_answers_to_is_taken_and_the_next_is_free() {
    let Some(network) = network() else { return };
    let [a, b] = network.0.as_slice() else {
        panic!("two namespaces")
    };
    let mut perch = start(a, "be perch");
    wait_for(&mut perch, "ready:");
    let ask = |name: &str| {
        let mut child = start(b, &format!("ask {name}"));
        let answer = wait_for(&mut child, "answer:");
        child.wait().unwrap();
        answer
    };
    let (taken, free) = (ask("perch"), ask("perch-2"));
    perch.kill().unwrap();
    perch.wait().unwrap();
    assert_eq!((taken.as_str(), free.as_str()), ("true", "false"));
}
