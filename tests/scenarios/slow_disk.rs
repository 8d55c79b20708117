//! `imd` on a disk that syncs slowly, fails to, or forgets it: FUSE, so as root and with /dev/fuse.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser as _;
use perch_load::options::{Command, Options};
use perch_load::result::Outcome;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;
use perch_tests::slow_disk::{self, SlowDisk, Syncs};
use perch_tests::talkers::{self, Archives, Talkers};
use perch_tests::wait::wait_until;
use perch_tests::xmpp::{Connector, Login};

/// What an SD card takes.
const CARD: Duration = Duration::from_millis(40);
const AT_ONCE: Syncs = Syncs::Take(Duration::ZERO);
const PEOPLE: usize = 20;

/// A disk, and a server whose data are on it.
fn server(lab: &Lab) -> Result<(SlowDisk, HostImd)> {
    let folder = lab.work.join("data");
    fs::create_dir_all(&folder).context("make the data folder")?;
    let disk = SlowDisk::mount(&folder, AT_ONCE)?;
    let imd = HostImd::start(lab)?;
    for person in 0..PEOPLE {
        imd.add_user(&talkers::name(person), talkers::PASSWORD)?;
    }
    lab.note("the server runs on a disk of its own");
    Ok((disk, imd))
}

/// `what`: a scenario of the load tool, with what it needs.
fn load(imd: &HostImd, what: &str, rate: u32, seconds: u32) -> Result<Outcome> {
    let arguments = format!(
        "perch-load run {what} --strict --users {PEOPLE} --prefix talker --password {} --domain {DOMAIN} --rate {rate} \
         --seconds {seconds} --warm-up 1 --quiet 0.2 --address 127.0.0.1:{}",
        talkers::PASSWORD,
        imd.server.starttls
    );
    let Command::Run(options) = Options::try_parse_from(arguments.split(' '))?.command else {
        bail!("not a run");
    };
    perch_load::scenario::run(*options)
}

/// What a load meets while each sync takes as long as on an SD card, and how many syncs there were. Absent where no such disk can be made.
fn on_a_card(
    name: &str,
    what: &str,
    rate: u32,
    seconds: u32,
) -> Result<Option<(Lab, Outcome, u64)>> {
    if !slow_disk::is_possible() {
        return Ok(None);
    }
    let lab = Lab::new("slow_disk", name)?;
    let (disk, imd) = server(&lab)?;
    disk.set(Syncs::Take(CARD));
    let before = disk.synced();
    let outcome = load(&imd, what, rate, seconds)?;
    let syncs = disk.synced() - before;
    drop(imd);
    drop(disk);
    Ok(Some((lab, outcome, syncs)))
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn four_hundred_messages_a_second_hold_while_each_sync_takes_40_ms() -> Result<()> {
    let Some((lab, outcome, syncs)) = on_a_card("hold", "open", 400, 6)? else {
        return Ok(());
    };
    let (ack, delivery) = (&outcome.latencies["ack"], &outcome.latencies["delivery"]);
    lab.note(&format!(
        "acknowledged: p50 {:.1} ms, p99 {:.1} ms; delivered: p50 {:.1} ms, p99 {:.1} ms; {syncs} syncs",
        ack.p50, ack.p99, delivery.p50, delivery.p99
    ));
    ensure!(ack.count > 2000, "{} acknowledgements", ack.count);
    ensure!(
        ack.p50 >= 40.0,
        "acknowledged before the sync: p50 {} ms",
        ack.p50
    );
    ensure!(ack.p99 <= 150.0, "acknowledged after {} ms (p99)", ack.p99);
    ensure!(
        delivery.p50 < 20.0,
        "delivery waits for the disk: {} ms",
        delivery.p50
    );
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn a_room_hears_a_message_before_it_is_on_the_disk_and_its_author_after_that() -> Result<()> {
    let rooms = format!("rooms --occupants 5 --rooms-domain rooms.{DOMAIN}");
    let Some((lab, outcome, _)) = on_a_card("room", &rooms, 40, 4)? else {
        return Ok(());
    };
    let [others, author] = ["delivery", "reflection"].map(|what| &outcome.latencies[what]);
    lab.note(&format!(
        "the others: p50 {:.1} ms; the author: p50 {:.1} ms, p99 {:.1} ms",
        others.p50, author.p50, author.p99
    ));
    ensure!(author.count > 100, "{} came back", author.count);
    ensure!(
        author.p50 >= 40.0,
        "an author was told before the sync: p50 {} ms",
        author.p50
    );
    ensure!(
        others.p50 < 20.0,
        "a room waits for the disk: {} ms",
        others.p50
    );
    lab.passed();
    Ok(())
}

/// People talk until so many messages are acknowledged, then the server is killed; returns what was said.
fn talk_and_kill(
    lab: &Lab,
    imd: &mut HostImd,
    runtime: &tokio::runtime::Runtime,
    acknowledged: usize,
) -> Result<(usize, Vec<talkers::Said>)> {
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    let talkers = runtime.block_on(Talkers::start(&connector, PEOPLE, 0))?;
    wait_until(Duration::from_secs(60), "acknowledgements", || {
        Ok((talkers.acknowledged() >= acknowledged).then_some(()))
    })?;
    imd.kill_hard()?;
    lab.note("killed");
    Ok(runtime.block_on(talkers.said()))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start tokio")
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn what_was_acknowledged_is_there_after_the_power_was_cut() -> Result<()> {
    survives("cut", Syncs::Take(CARD), SlowDisk::cut_power)
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn what_was_acknowledged_is_there_after_a_kill_though_syncs_were_forgotten() -> Result<()> {
    survives("forgotten", Syncs::AreForgotten, |_| Ok(()))
}

fn survives(
    name: &str,
    syncs: Syncs,
    then: impl FnOnce(&mut SlowDisk) -> Result<()>,
) -> Result<()> {
    if !slow_disk::is_possible() {
        return Ok(());
    }
    let lab = Lab::new("slow_disk", name)?;
    let (mut disk, mut imd) = server(&lab)?;
    let runtime = runtime()?;
    disk.set(syncs);
    let said = talk_and_kill(&lab, &mut imd, &runtime, 1500)?;
    then(&mut disk)?;
    disk.set(AT_ONCE);
    imd.start_again()?;
    let database = lab.work.join("data/imd.sqlite");
    let found = runtime.block_on(Archives::default().check(&database, DOMAIN, &said))?;
    lab.note(&format!("{found:?}"));
    ensure!(found.acknowledged >= 1500, "{found:?}");
    drop(imd);
    drop(disk);
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn a_failed_sync_is_told_to_the_sender_and_mends_with_the_disk() -> Result<()> {
    if !slow_disk::is_possible() {
        return Ok(());
    }
    let lab = Lab::new("slow_disk", "failing")?;
    let (disk, imd) = server(&lab)?;
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    runtime()?.block_on(async {
        let name = talkers::name(0);
        let mut client = connector
            .log_in(&name, talkers::PASSWORD, "phone", Login::Plain)
            .await?;
        let send = |id: &str| {
            format!(
                "<message to='{}@{DOMAIN}' type='chat' id='{id}'><body>x</body></message>",
                talkers::name(1)
            )
        };
        disk.set(Syncs::Fail);
        client.send(&send("failing")).await?;
        let told = client.read_past("</message>").await?;
        ensure!(
            told.contains("failing") && told.contains("type='error'"),
            "{told}"
        );
        disk.set(AT_ONCE);
        client.send("<enable xmlns='urn:xmpp:sm:3'/>").await?;
        client.read_past("<enabled").await?;
        client
            .send(&(send("mended") + "<r xmlns='urn:xmpp:sm:3'/>"))
            .await?;
        let answer = client.read_past("<a ").await?;
        ensure!(!answer.contains("error"), "{answer}");
        Ok(())
    })?;
    drop(imd);
    drop(disk);
    lab.passed();
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only slow-disk`"]
fn presence_and_typing_never_touch_the_disk() -> Result<()> {
    if !slow_disk::is_possible() {
        return Ok(());
    }
    let lab = Lab::new("slow_disk", "typing")?;
    let (disk, imd) = server(&lab)?;
    let connector = Connector::new(&imd.server.ca, DOMAIN, imd.server.direct_tls)?;
    runtime()?.block_on(async {
        let mut people = Vec::new();
        for person in 0..2 {
            let name = talkers::name(person);
            let login = connector.log_in(&name, talkers::PASSWORD, "phone", Login::Plain);
            let mut client = login.await?;
            client.send("<presence/>").await?;
            client.read_past("<presence").await?;
            people.push(client);
        }
        let [one, other] = &mut people[..] else {
            bail!("two people");
        };
        let to = |person| format!("{}@{DOMAIN}", talkers::name(person));
        let said =
            |body: &str| format!("<message to='{}/phone' type='chat'>{body}</message>", to(1));
        // Something that is written, so that the counter is known to count.
        let before = disk.written();
        one.send(&said("<body>hello</body>")).await?;
        other.read_past("hello").await?;
        one.send(
            "<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='b'/></query></iq>",
        )
        .await?;
        one.read_past("id='1'").await?;
        let before_typing = disk.written();
        ensure!(before_typing > before, "the counter does not count");
        for n in 0..100 {
            let typing = said("<composing xmlns='http://jabber.org/protocol/chatstates'/>");
            let show = ["away", "dnd", "xa"][n % 3];
            let presence = format!(
                "<presence><show>{show}</show></presence><presence to='{}/phone'/>",
                to(1)
            );
            one.send(&(typing + &presence)).await?;
        }
        // An answer comes after everything before it.
        one.send("<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>")
            .await?;
        one.read_past("id='2'").await?;
        one.send(&said(
            "<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>last</thread>",
        ))
        .await?;
        other.read_past("last").await?;
        let written = disk.written() - before_typing;
        ensure!(written == 0, "presence and typing made {written} writes");
        Ok(())
    })?;
    drop(imd);
    drop(disk);
    lab.passed();
    Ok(())
}
