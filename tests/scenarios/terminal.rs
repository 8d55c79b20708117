//! Profanity, a client for terminals, against an `imd` on this computer: two people log in and chat both ways.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use perch_tests::command::output_of;
use perch_tests::host_imd::{DOMAIN, HostImd};
use perch_tests::lab::Lab;
use perch_tests::terminal::Terminal;

const PASSWORD: &str = "a terminal's password";

/// Starts Profanity for an account, with settings in files, as somebody has them after the first time.
fn profanity(lab: &Lab, imd: &HostImd, name: &str) -> Result<Terminal> {
    let home = lab.work.join(name);
    let (config, data) = (home.join("config/profanity"), home.join("data/profanity"));
    for folder in [&config, &data] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let trusted = lab.work.join("trusted");
    fs::write(
        config.join("profrc"),
        format!(
            "[connection]\ntls.certpath={}\n[ui]\nsplash=false\n[notifications]\nmessage=off\n",
            trusted.display()
        ),
    )
    .context("write profrc")?;
    fs::write(
        data.join("accounts"),
        format!(
            "[{name}@{DOMAIN}]\nenabled=true\njid={name}@{DOMAIN}\nresource=terminal\nserver=127.0.0.1\n\
             port={}\ntls.policy=force\npassword={PASSWORD}\n",
            imd.server.starttls
        ),
    )
    .context("write accounts")?;
    let command = format!(
        "HOME='{0}' XDG_CONFIG_HOME='{0}/config' XDG_DATA_HOME='{0}/data' LC_ALL=C.UTF-8 \
         profanity --account {name}@{DOMAIN} --log INFO --logfile '{1}'",
        home.display(),
        lab.logs.join(name).display()
    );
    let terminal = Terminal::start(&home, lab.logs.join(format!("{name}.screen")), &command)?;
    terminal.wait_for("logged in successfully")?;
    Ok(terminal)
}

/// A folder of trusted authorities with the names that OpenSSL looks for.
fn trust(folder: &Path, authority: &Path) -> Result<()> {
    fs::create_dir_all(folder).context("make the folder of authorities")?;
    fs::copy(authority, folder.join("ca.pem")).context("copy the authority")?;
    output_of(Command::new("openssl").arg("rehash").arg(folder))?;
    Ok(())
}

#[test]
#[ignore = "run `ci/test --only terminal`"]
fn two_people_chat_in_terminals() -> Result<()> {
    let lab = Lab::new("terminal", "profanity")?;
    let imd = HostImd::start(&lab)?;
    for name in ["anna", "ben"] {
        imd.add_user(name, PASSWORD)?;
    }
    trust(&lab.work.join("trusted"), &imd.server.ca)?;
    let anna = profanity(&lab, &imd, "anna")?;
    let ben = profanity(&lab, &imd, "ben")?;
    lab.note("both are logged in");
    anna.type_line(&format!("/msg ben@{DOMAIN} Tea at four, 好吗?"))?;
    ben.wait_for(&format!("anna@{DOMAIN}"))?;
    ben.type_line(&format!("/msg anna@{DOMAIN} At five, please."))?;
    ben.wait_for("Tea at four, 好吗?")?;
    anna.wait_for("At five, please.")?;
    for terminal in [&anna, &ben] {
        terminal.type_line("/disconnect")?;
        terminal.type_line("/win 1")?;
        terminal.wait_for("logged out successfully")?;
    }
    drop((anna, ben, imd));
    lab.passed();
    Ok(())
}
