//! A box on this computer: a folder that stands for its root, with the agent, the pages and the chat server on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::lab::{Lab, repository};
use crate::wait::wait_until;

/// The processes of a box. Dropping it kills them.
pub struct HostBox {
    folder: PathBuf,
    running: Vec<Child>,
}

impl HostBox {
    /// A new box that was started a minute ago, in the test's scratch folder.
    ///
    /// # Errors
    ///
    /// A program is not built, or does not come up.
    pub fn start(lab: &Lab, web_chat: &Path) -> Result<Self> {
        let folder = lab.work.join("box");
        let root = folder.join("root");
        for (path, content) in [
            ("proc/uptime", "60.0 1.0\n"),
            ("data/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("usr/share/zoneinfo/Europe/Berlin", ""),
        ] {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap_or(&root)).context("make the box's root")?;
            fs::write(&place, content).with_context(|| format!("write {}", place.display()))?;
        }
        let mut made = Self {
            folder,
            running: Vec::new(),
        };
        let status = made.command("provisioner", lab)?.arg("firstboot").status();
        ensure!(
            status.context("run the first boot")?.success(),
            "the first boot failed"
        );
        made.write_imd_config(web_chat)?;
        fs::create_dir_all(made.at("state")).context("make the pages' folder")?;
        let mut imd = made.command("imd", lab)?;
        imd.args(["serve", "--config"]).arg(made.at("imd.toml"));
        let mut agent = made.command("provisioner", lab)?;
        agent.args(["agent", "--socket"]).arg(made.at("agent.sock"));
        let mut web = made.command("provisioner", lab)?;
        web.arg("web").arg("--socket").arg(made.at("web.sock"));
        web.arg("--agent").arg(made.at("agent.sock"));
        web.arg("--imd").arg(made.at("admin.sock"));
        web.arg("--state").arg(made.at("state"));
        for command in [&mut imd, &mut agent, &mut web] {
            let child = command.spawn().context("start a program of the box")?;
            made.running.push(child);
        }
        for socket in ["web.sock", "agent.sock", "admin.sock", "imd.sock"] {
            wait_until(Duration::from_secs(60), socket, || {
                Ok(std::os::unix::net::UnixStream::connect(made.at(socket)).ok())
            })?;
        }
        Ok(made)
    }

    /// What a script in a browser has to know.
    #[must_use]
    pub fn settings(&self, screens: &Path) -> Value {
        let tls = self.at("root/var/lib/perch/tls");
        json!({
            "web": self.at("web.sock"), "imd": self.at("imd.sock"), "screens": screens,
            "key": tls.join("server.key"), "certificate": tls.join("server.crt"),
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, program: &str, lab: &Lab) -> Result<Command> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository().join("target"), PathBuf::from);
        let file = target.join("debug").join(program);
        ensure!(file.exists(), "{} is not built", file.display());
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(lab.logs.join(format!("{program}.log")))
            .context("open a log")?;
        let mut command = Command::new(file);
        command.stdin(Stdio::null());
        command.stderr(log.try_clone().context("share a log")?);
        command.stdout(log);
        if program == "provisioner" {
            command.arg("--root").arg(self.at("root"));
        }
        Ok(command)
    }

    fn write_imd_config(&self, web_chat: &Path) -> Result<()> {
        let at = |name: &str| self.at(name).display().to_string();
        let text = format!(
            "domain = \"perch.local\"\n\
             data_dir = \"{}\"\n\
             [tls]\n\
             certificate = \"{tls}/server.crt\"\n\
             key = \"{tls}/server.key\"\n\
             [listen]\n\
             http_socket = \"{}\"\n\
             admin = \"{}\"\n\
             [web]\n\
             web_root = \"{}\"\n",
            at("data"),
            at("imd.sock"),
            at("admin.sock"),
            web_chat.display(),
            tls = at("root/var/lib/perch/tls"),
        );
        fs::create_dir_all(self.at("data")).context("make imd's folder")?;
        fs::write(self.at("imd.toml"), text).context("write imd.toml")
    }
}

impl Drop for HostBox {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
