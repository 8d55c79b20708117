//! Smack's integration tests (`tests/smack/`) against an `imd` on this computer, with what they are known to find in
//! `tests/smack/baseline.txt`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use perch_tests::baseline::{Outcome, Outcomes, differences, parse};
use perch_tests::command::output_of;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::{Lab, repository};

/// Smack's tests know the address of the server and no port: this one is nobody else's on this computer.
const ADDRESS: &str = "127.0.0.7";
/// How long Smack waits for an answer. The tests that fail would wait for most of a minute otherwise.
const REPLY_MILLIS: u32 = 15_000;
/// How often a test that should pass is tried again by itself.
const AGAIN: u32 = 3;
/// The password of the account that Smack takes for the administrator's.
const ADMIN: &str = "admins-password";
/// The password of Java's file of trusted authorities, which needs one.
const STORE_PASSWORD: &str = "perch-test";

/// Compiles what is ours and fetches Smack; the class path.
fn class_path(made: &Path) -> Result<String> {
    let list = made.join("classpath");
    let mut maven = Command::new("mvn");
    maven
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(repository().join("tests/smack/pom.xml"))
        .arg(format!(
            "-Dmaven.repo.local={}",
            repository().join("target/maven").display()
        ))
        .arg(format!("-Dmade={}", made.display()))
        .arg(format!("-Dmdep.outputFile={}", list.display()))
        .args(["compile", "dependency:build-classpath"]);
    output_of(&mut maven)?;
    let fetched = fs::read_to_string(&list).context("read the class path")?;
    // Ours come first: one class stands before Smack's of the same name.
    Ok(format!("{}:{fetched}", made.join("classes").display()))
}

/// The files with which Java believes the authority and finds the domain.
fn surroundings(lab: &Lab, authority: &Path) -> Result<()> {
    let mut keytool = Command::new("keytool");
    keytool
        .args([
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-storetype",
            "PKCS12",
        ])
        .args(["-storepass", STORE_PASSWORD, "-file"])
        .arg(authority)
        .arg("-keystore")
        .arg(lab.work.join("trusted.p12"));
    output_of(&mut keytool)?;
    fs::write(lab.work.join("hosts"), format!("127.0.0.1 {DOMAIN}\n")).context("write hosts")
}

/// Runs Smack's tests, all or those of the names, and gives what they found. `name`: of the files that it leaves.
fn run(
    lab: &Lab,
    imd: &HostImd,
    class_path: &str,
    name: &str,
    only: &[String],
) -> Result<Outcomes> {
    let setting = |name: &str, value: &str| format!("-Dsinttest.{name}={value}");
    let results = lab.logs.join(format!("{name}.txt"));
    let log = fs::File::create(lab.logs.join(format!("{name}.log"))).context("make a log")?;
    let mut java = Command::new("java");
    java.args(["-enableassertions", "-Xmx512m", "-cp", class_path])
        .arg(format!("-Dperch.results={}", results.display()))
        .arg(format!("-Dperch.imd={}", imd.program().display()))
        .arg(format!("-Dperch.config={}", imd.config().display()))
        .arg("-Djavax.net.ssl.trustStore=trusted.p12")
        .arg(format!(
            "-Djavax.net.ssl.trustStorePassword={STORE_PASSWORD}"
        ))
        .arg("-Djdk.net.hosts.file=hosts")
        .arg(setting("service", DOMAIN))
        .arg(setting("host", ADDRESS))
        .arg(setting("securityMode", "required"))
        .arg(setting("replyTimeout", &REPLY_MILLIS.to_string()))
        .arg(setting("adminAccountUsername", "admin"))
        .arg(setting("adminAccountPassword", ADMIN))
        // Smack's new ("modular") connection can hang in TLS on a busy computer, which ends the whole run, and WebSockets are
        // looked up at port 443 only. `javascript` and `browser` try WebSockets.
        .arg(setting("enabledConnections", "tcp"))
        .arg(setting("testRunResultProcessors", "perch.Results"))
        // What was said is in the log, for tests that fail once in a while.
        .arg(setting("debugger", "console"))
        .arg(format!("-Duser.home={}", lab.work.display()));
    if !only.is_empty() {
        java.arg(setting("enabledTests", &only.join(",")));
    }
    java.arg("org.igniterealtime.smack.inttest.SmackIntegrationTestFramework")
        .current_dir(&lab.work)
        .stdout(log.try_clone().context("share a log")?)
        .stderr(log);
    // It ends with an error when a test failed, which the baseline is to judge.
    java.status().context("run java")?;
    let found = fs::read_to_string(&results)
        .with_context(|| format!("Smack left no results, see {}", lab.logs.display()))?;
    parse(&found).with_context(|| results.display().to_string())
}

/// Tests that should have passed, as Smack's settings name them: the class and the method, without what is in brackets.
fn lost(baseline: &Outcomes, found: &Outcomes) -> Vec<String> {
    let passed = |name: &String| matches!(baseline.get(name), Some((Outcome::Passed, _)));
    let failed = found
        .iter()
        .filter(|(name, (outcome, _))| *outcome != Outcome::Passed && passed(name));
    let mut names: Vec<_> = failed
        .filter_map(|(name, _)| name.split(' ').next())
        .map(str::to_owned)
        .collect();
    names.dedup();
    names
}

#[test]
#[ignore = "run `ci/test --only smack`"]
fn smacks_tests_find_what_they_are_known_to_find() -> Result<()> {
    let lab = Lab::new("smack", "smack")?;
    let made = repository().join("target/smack");
    fs::create_dir_all(&made).context("make target/smack")?;
    let class_path = class_path(&made)?;
    lab.note("compiled");
    let imd = HostImd::start_public(&lab, Some(&format!("{ADDRESS}:5222")), None)?;
    imd.add_user("admin", ADMIN)?;
    surroundings(&lab, &imd.server.ca)?;
    let file = repository().join("tests/smack/baseline.txt");
    let baseline = fs::read_to_string(&file).context("read baseline.txt")?;
    let baseline = parse(&baseline).context("tests/smack/baseline.txt")?;
    let mut found = run(&lab, &imd, &class_path, "results", &[])?;
    // Smack's tests disturb one another: what one cleans up, the next takes for an answer. Alone they have to pass.
    for round in 1..=AGAIN {
        let lost = lost(&baseline, &found);
        if lost.is_empty() {
            break;
        }
        lab.note(&format!("again, alone: {}", lost.join(", ")));
        for (number, name) in lost.iter().enumerate() {
            let log = format!("again-{round}-{number}");
            match run(&lab, &imd, &class_path, &log, std::slice::from_ref(name)) {
                Ok(again) => found.extend(again),
                Err(error) => lab.note(&format!("{name}: {error:#}")),
            }
        }
    }
    let differences = differences(&baseline, &found);
    if !differences.is_empty() {
        bail!(
            "Smack's tests found what tests/smack/baseline.txt does not say (the whole run: {}):\n{}",
            lab.logs.display(),
            differences.join("\n")
        );
    }
    drop(imd);
    lab.passed();
    Ok(())
}
