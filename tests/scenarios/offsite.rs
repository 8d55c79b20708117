//! Backups on another computer, with real peers: OpenSSH's server, and an S3 server that checks signatures and checksums. A box's agent
//! and chat server run on this computer, and everything is asked of it as an owner would in a shell.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perch_tests::authority::Authority;
use perch_tests::command::output_of;
use perch_tests::host_owner::Owner;
use perch_tests::lab::Lab;
use perch_tests::offsite::{ACCESS_KEY, SECRET_KEY, Server, Sshd, Wire, start_gateway};
use perch_tests::wait::wait_until;
use serde_json::json;

/// Names in a folder, in their order.
fn names(folder: &PathBuf) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// What lies in a target's folder before the first backup comes: twelve nights of this box, and others' files.
const OTHERS: [&str; 3] = [
    "holiday.jpg",
    "perch-office-20260101-020000.age",
    "x.age.part",
];

fn fill(folder: &PathBuf) -> Result<()> {
    fs::create_dir_all(folder).context("make the target's folder")?;
    for name in OTHERS {
        fs::write(folder.join(name), "not the box's").context("write a foreign file")?;
    }
    for day in 1..=12 {
        let name = format!("perch-perch-202611{day:02}-020000.age");
        fs::write(folder.join(name), "an older backup").context("write an older backup")?;
    }
    Ok(())
}

/// The backup is there as it is on the box, the older ones are thinned out, and nothing else was touched.
fn assert_sent(owner: &Owner, folder: &PathBuf) -> Result<String> {
    let (name, content) = owner.newest()?;
    ensure!(
        fs::read(folder.join(&name)).context("what was sent")? == content,
        "it differs"
    );
    let there = names(folder)?;
    ensure!(
        OTHERS
            .iter()
            .all(|other| there.contains(&(*other).to_owned())),
        "{there:?}"
    );
    let own = there
        .iter()
        .filter(|name| name.starts_with("perch-perch-"))
        .count();
    ensure!((7..=11).contains(&own), "{there:?}");
    Ok(name)
}

/// Waits until the box says so of what it fetched from the target and tried.
fn tried(owner: &Owner, outcome: &str) -> Result<()> {
    let line = format!("fetched from the target and tried: {outcome}");
    wait_until(Duration::from_secs(120), &line, || {
        let said = owner.backup(&["list"])?.1;
        Ok(said.contains(&line).then_some(()))
    })
}

#[test]
#[ignore = "run `ci/test --only offsite`"]
fn a_backup_goes_to_an_sftp_server_and_comes_back() -> Result<()> {
    let lab = Lab::new("offsite", "sftp")?;
    let owner = Owner::of_new_box(&lab)?;
    let sshd = Sshd::new(&lab)?;
    let server = sshd.start(&lab)?;
    let wire = Wire::to(server.port)?;
    let folder = lab.work.join("target");
    fill(&folder)?;
    let target = |folder: &PathBuf| {
        format!(
            "backup.target=sftp://root@127.0.0.1:{}{}",
            wire.port,
            folder.display()
        )
    };
    owner.set(&[target(&folder)])?.is_good()?;

    lab.note("the server and the box get to know each other");
    let said = owner.backup(&["target"])?;
    said.fails_with("the server's host key is not accepted yet")?;
    let fingerprint = sshd.fingerprint()?;
    said.fails_with(&format!("host key that waits: {fingerprint}"))?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("not accepted yet")?;
    let other = fingerprint.replace("SHA256:", "SHA256:x");
    owner
        .backup(&["target", "--accept", &other])?
        .fails_with("no host key with this")?;
    let said = owner.backup(&["target", "--accept", &fingerprint])?;
    said.fails_with("the server does not accept the box's key")?;
    let line = said
        .1
        .lines()
        .find_map(|line| line.trim().strip_prefix("the box's key: "));
    sshd.authorize(line.context("the box's key")?)?;
    owner.backup(&["target"])?.is_good()?;

    lab.note("a backup goes there");
    owner.backup(&["now", "--target"])?.is_good()?;
    let name = assert_sent(&owner, &folder)?;
    ensure!(owner.backup(&["list"])?.is_good()?.contains(&name));
    let before = names(&folder)?;

    lab.note("the connection is cut in the middle");
    wire.cut_after(Some(60_000));
    owner
        .backup(&["now", "--target"])?
        .fails_with("the connection ended before everything was sent")?;
    wire.cut_after(None);
    let after = names(&folder)?;
    let whole = |name: &&String| !before.contains(*name);
    ensure!(
        after
            .iter()
            .filter(whole)
            .all(|name| name.ends_with(".part")),
        "{after:?}"
    );
    ensure!(before.iter().all(|name| after.contains(name)), "{after:?}");
    owner.backup(&["list"])?.is_good()?;
    owner.backup(&["now", "--target"])?.is_good()?;
    let name = assert_sent(&owner, &folder)?;
    let parts = names(&folder)?
        .into_iter()
        .filter(|name| name.ends_with(".part"));
    ensure!(parts.collect::<Vec<_>>() == ["x.age.part"]);

    lab.note("what lies there is fetched and tried, and one that was changed there is found");
    owner.backup(&["drill"])?.is_good()?;
    tried(&owner, &format!("{name} can be restored: "))?;
    let sent = fs::read(folder.join(&name)).context("what was sent")?;
    let mut altered = sent.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(folder.join(&name), altered).context("change what was sent")?;
    owner.backup(&["drill"])?.is_good()?;
    tried(&owner, "it failed: the backup is damaged")?;
    fs::write(folder.join(&name), sent).context("mend what was sent")?;

    lab.note("the server has no room, no folder, another key, and is off");
    let small = lab.work.join("small");
    let full = Full::at(&small)?;
    owner.set(&[target(&small)])?.is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("there is no room")?;
    ensure!(names(&small)? == ["perch-perch-20261101-020000.age"]);
    drop(full);
    owner.set(&[target(&lab.work.join("nowhere"))])?.is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("there is no such folder")?;
    owner.set(&[target(&folder)])?.is_good()?;
    let before = names(&folder)?;
    drop(server);
    owner
        .backup(&["now", "--target"])?
        .fails_with("the server does not answer")?;
    sshd.new_host_key()?;
    let server = sshd.start(&lab)?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("another host key than the accepted one")?;
    ensure!(
        names(&folder)? == before,
        "something was sent to a stranger"
    );
    owner
        .backup(&["target", "--forget"])?
        .fails_with("not accepted yet")?;
    owner
        .backup(&["target", "--accept", &sshd.fingerprint()?])?
        .is_good()?;

    lab.note("the page's way: a job of its own, the listing, and a restore");
    owner.ask(&json!({"target": "send"}))?;
    wait_until(Duration::from_secs(120), "the backup to be sent", || {
        let view = owner.ask(&json!("backups"))?;
        let view = &view["Ok"]["backups"];
        let is_sent = view["under_way"].is_null() && view["outcomes"]["target"]["error"].is_null();
        Ok((is_sent && view["target"]["lying"][0]["name"] == owner.newest()?.0).then_some(()))
    })?;
    assert_sent(&owner, &folder)?;
    owner
        .backup(&["restore", "--from-target", "perch-x.age"])?
        .fails_with("no such backup")?;
    owner.restore(&name)?;
    // The key and the accepted host key are those of the backup, which was made before the server had another one.
    owner
        .backup(&["target"])?
        .fails_with("another host key than the accepted one")?;
    drop(server);
    lab.passed();
    Ok(())
}

/// A small disk with a backup on it, until it is dropped.
struct Full(PathBuf);

impl Full {
    fn at(folder: &PathBuf) -> Result<Self> {
        fs::create_dir_all(folder).context("make a small disk's folder")?;
        let mount = ["-t", "tmpfs", "-o", "size=256k", "none"];
        output_of(Command::new("mount").args(mount).arg(folder))?;
        let name = folder.join("perch-perch-20261101-020000.age");
        fs::write(name, "an older backup").context("write an older backup")?;
        Ok(Self(folder.clone()))
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        // The namespace that the test runs in ends with it.
        let _ = output_of(Command::new("umount").arg(&self.0));
    }
}

/// The settings of an S3 target.
fn s3(port: u16, bucket: &str, scheme: &str) -> [String; 4] {
    [
        format!("backup.target=s3://{bucket}/boxes/office"),
        format!("backup.endpoint={scheme}://127.0.0.1:{port}"),
        format!("backup.access_key={ACCESS_KEY}"),
        format!("backup.secret_key={SECRET_KEY}"),
    ]
}

#[test]
#[ignore = "run `ci/test --only offsite`"]
fn a_backup_goes_to_an_s3_server_and_comes_back() -> Result<()> {
    let lab = Lab::new("offsite", "s3")?;
    let owner = Owner::of_new_box(&lab)?;
    let buckets = lab.work.join("buckets");
    let server: Server = start_gateway(&lab, &buckets, None)?;
    let wire = Wire::to(server.port)?;

    lab.note("what is wrong is said");
    let mut settings = s3(wire.port, "perch-backups", "http");
    settings[3] = "backup.secret_key=another-secret".to_owned();
    owner.set(&settings)?.is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("the secret key does not belong")?;
    let kept = fs::read_to_string(owner.host.file("root/var/lib/perch/box.json"))?;
    ensure!(
        !kept.contains("another-secret"),
        "the secret is among the settings"
    );
    settings[2] = "backup.access_key=nobody".to_owned();
    owner.set(&settings)?.is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("does not know this access key")?;
    owner
        .set(&s3(wire.port, "perch-backups", "http"))?
        .is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("there is no such bucket")?;

    lab.note("a backup goes there");
    let folder = buckets.join("perch-backups/boxes/office");
    fill(&folder)?;
    owner.backup(&["now", "--target"])?.is_good()?;
    let name = assert_sent(&owner, &folder)?;
    ensure!(owner.backup(&["list"])?.is_good()?.contains(&name));
    let before = names(&folder)?;

    lab.note("the connection is cut in the middle, and a byte arrives as another");
    wire.cut_after(Some(60_000));
    owner
        .backup(&["now", "--target"])?
        .fails_with("the connection ended before everything was sent")?;
    wire.cut_after(None);
    ensure!(names(&folder)? == before);
    wire.corrupt(true);
    owner
        .backup(&["now", "--target"])?
        .fails_with("what arrived is not what was sent")?;
    wire.corrupt(false);
    ensure!(names(&folder)? == before);
    owner.backup(&["now", "--target"])?.is_good()?;
    let name = assert_sent(&owner, &folder)?;

    lab.note("the box's clock is late, and the bucket is full");
    owner
        .backup_late(&["target"])?
        .fails_with("clock and the server's differ too much")?;
    let small = buckets.join("small");
    let full = Full::at(&small)?;
    let mut settings = s3(wire.port, "small", "http");
    settings[0] = "backup.target=s3://small".to_owned();
    owner.set(&settings)?.is_good()?;
    owner
        .backup(&["now", "--target"])?
        .fails_with("there is no room")?;
    // The server has a folder of its own beside them.
    let mut there = names(&small)?;
    there.retain(|name| name.ends_with(".age"));
    ensure!(there == ["perch-perch-20261101-020000.age"], "{there:?}");
    drop(full);

    lab.note("a certificate that nobody knows, and then its authority");
    let authority = Authority::new(&lab.work, "s3")?;
    let files = authority.certificate(&lab.work, "s3-server", "127.0.0.1")?;
    let secured = start_gateway(&lab, &buckets, Some(&files))?;
    owner
        .set(&s3(secured.port, "perch-backups", "https"))?
        .is_good()?;
    owner
        .backup(&["target"])?
        .fails_with("certificate is not trusted")?;
    let known = owner.host.file("root/etc/perch/s3.crt");
    fs::copy(&authority.file, known).context("copy the authority")?;
    owner
        .set(&["backup.authority=/etc/perch/s3.crt".to_owned()])?
        .is_good()?;
    ensure!(owner.backup(&["target"])?.is_good()?.contains(&name));

    lab.note("the night's job, and back again");
    owner.backup(&["night"])?.is_good()?;
    let tonight = owner.newest()?.0;
    ensure!(tonight != name, "no backup was made");
    wait_until(
        Duration::from_secs(120),
        "tonight's backup to be sent",
        || Ok(names(&folder)?.contains(&tonight).then_some(())),
    )?;
    assert_sent(&owner, &folder)?;
    owner.restore(&tonight)?;
    owner.backup(&["target", "--remove"])?.is_good()?;
    ensure!(
        owner
            .run(&["settings", "get", "backup.target"], "")?
            .fails_with("")
            .is_ok()
    );
    let secrets = fs::read_to_string(owner.host.file("root/var/lib/perch/secrets.json"));
    ensure!(
        !secrets.unwrap_or_default().contains(SECRET_KEY),
        "the secret stays"
    );
    drop((server, secured));
    lab.passed();
    Ok(())
}
