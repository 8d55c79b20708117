//! `ci/try`: boots a copy of the image in `dist/` for a person to play with, until Ctrl-C.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use perch_tests::{
    card::{Card, built_image},
    lab::{Lab, repository},
    qemu::{self, Board, Ports},
    vm::SshKey,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::sleep,
};

/// Boot a copy of the image in dist/ on an emulated machine, until Ctrl-C.
#[derive(Parser)]
#[command(name = "ci/try")]
struct Arguments {
    /// The machine: virt is ready in half a minute, raspi4b (a Raspberry Pi 4B, firmware aside) in about four.
    #[arg(long, value_enum, default_value = "virt")]
    board: Machine,
}

#[derive(Clone, Copy, ValueEnum)]
enum Machine {
    Virt,
    Raspi4b,
}

/// Where the copy, its key and its logs are.
struct Place {
    lab: Lab,
    card: Card,
    key: SshKey,
    ports: Ports,
    password: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let board = match arguments.board {
        Machine::Virt => Board::Virt,
        Machine::Raspi4b => Board::Raspi4b,
    };
    let image = built_image().context("there is no image to try; ci/build makes one")?;
    println!("copying {} …", image.display());
    let place = prepare()?;
    let monitor = place.lab.work.join("monitor");
    let command = qemu::command(
        board,
        &place.card,
        place.ports,
        &place.lab.work,
        &place.lab.logs,
        &monitor,
    )?;
    let mut machine = Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start qemu-system-aarch64 (package qemu-system-arm)")?;
    println!(
        "booting; its console: tail -f {}",
        place.lab.logs.join("serial*").display()
    );
    let result = tokio::select! {
        result = run(&place, &mut machine) => result,
        result = stopped() => result,
    };
    machine.kill().await.ok();
    println!("stopped");
    result
}

/// Flashes a copy and puts settings on its FAT partition, as an owner would.
fn prepare() -> Result<Place> {
    let lab = Lab::at(repository().join("target/try"))?;
    let card = Card::flash(&lab, "card")?;
    let key = SshKey::new(&lab)?;
    let mut random = [0; 9];
    if SystemRandom::new().fill(&mut random).is_err() {
        bail!("this computer gives no random numbers");
    }
    let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let settings = format!(
        "[admin]\nname = \"admin\"\npassword = \"{password}\"\n\n[ssh]\nenabled = true\nauthorized_keys = [\"{}\"]\n",
        key.public
    );
    card.write("perch.toml", settings.as_bytes())?;
    Ok(Place {
        lab,
        card,
        key,
        ports: Ports::free()?,
        password,
    })
}

/// Waits until the box answers, says how to reach it, and stays until the machine ends by itself.
async fn run(place: &Place, machine: &mut Child) -> Result<()> {
    let begun = Instant::now();
    let certificate = place.lab.work.join("perch-ca.crt");
    while !ready(place, &certificate).await {
        if let Some(status) = machine.try_wait().context("look after QEMU")? {
            bail!("QEMU ended by itself: {status}");
        }
        sleep(Duration::from_secs(1)).await;
    }
    println!(
        "\nready after {} s\n{}",
        begun.elapsed().as_secs(),
        how_to_log_in(place, &certificate)
    );
    let status = machine.wait().await.context("wait for QEMU")?;
    bail!("QEMU ended by itself: {status}")
}

/// Whether the server accepts connections and says its first words; fetches the box's CA on the way.
async fn ready(place: &Place, certificate: &Path) -> bool {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };
    let Ok(contents) = place.card.read("perch-ca.crt") else {
        return false;
    };
    if fs::write(certificate, contents).is_err() {
        return false;
    }
    let greeting = async {
        let mut stream = TcpStream::connect(("127.0.0.1", place.ports.starttls)).await?;
        stream
            .write_all(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='perch.local' version='1.0'>")
            .await?;
        stream.read(&mut [0; 64]).await
    };
    matches!(timeout(Duration::from_secs(5), greeting).await, Ok(Ok(read)) if read > 0)
}

fn how_to_log_in(place: &Place, certificate: &Path) -> String {
    let Ports {
        ssh,
        starttls,
        direct_tls,
        https,
    } = place.ports;
    format!(
        "  chat      address admin@perch.local, password {}\n            \
           server 127.0.0.1 port {starttls} (STARTTLS) or {direct_tls} (direct TLS)\n            \
           its certificate authority: {}\n  \
         web       https://perch.local:{https}/ with \"127.0.0.1 perch.local\" in /etc/hosts\n  \
         shell     ssh -i {} -p {ssh} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1\n  \
         accounts  in that shell: imd user add NAME --config /etc/perch/imd.toml\n\nCtrl-C stops it",
        place.password,
        certificate.display(),
        absolute(&place.key.file).display(),
    )
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

async fn stopped() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
