//! A box on this computer: a folder that stands for its root, with the agent, the pages and the chat server on it. It starts again
//! by itself when a restore or a factory reset waits for that, as a box would that restarts.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use provisioner::web::history::{History, Sample};
use provisioner::web::visitor::now;
use serde_json::{Value, json};

use crate::lab::{Lab, repository};
use crate::wait::wait_until;

/// What waits for the next start.
const WAITING: [&str; 2] = ["var/lib/perch/restore/ready", "var/lib/perch/reset"];

/// The processes of a box. Dropping it kills them.
pub struct HostBox {
    folder: PathBuf,
    over: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
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
            ("sys/class/thermal/thermal_zone0/temp", "52341\n"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                "1500000\n",
            ),
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "0\n"),
            (
                "proc/meminfo",
                "MemTotal: 3884000 kB\nMemAvailable: 3100000 kB\n",
            ),
            ("var/lib/perch-backup/in/.keep", ""),
            ("run/imd/.keep", ""),
        ] {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap_or(&root)).context("make the box's root")?;
            fs::write(&place, content).with_context(|| format!("write {}", place.display()))?;
        }
        let place = Place {
            folder: folder.clone(),
            logs: lab.logs.clone(),
        };
        place.write_imd_config(web_chat)?;
        let over = Arc::new(AtomicBool::new(false));
        let running = place.boot(&over)?;
        let keeper = {
            let over = Arc::clone(&over);
            std::thread::spawn(move || place.keep(running, &over))
        };
        Ok(Self {
            folder,
            over,
            keeper: Some(keeper),
        })
    }

    /// Gives it thirty days of figures, with four hours of this day missing.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    pub fn make_history(&self) -> Result<()> {
        let history = History::open(&self.file("root/var/lib/perch-web/history.db"))?;
        let to = now();
        let minutes = (0..24 * 60).map(|back| 60 * back);
        let before = (24 * 6..30 * 24 * 6).map(|back| 600 * back);
        let mut backwards: Vec<i64> = minutes.chain(before).collect();
        backwards.retain(|back| !(6 * 3600..10 * 3600).contains(back));
        for back in backwards.into_iter().rev() {
            history.note(figures_of(to - back))?;
        }
        Ok(())
    }

    /// What a script in a browser has to know.
    #[must_use]
    pub fn settings(&self, screens: &Path) -> Value {
        let tls = self.file("root/var/lib/perch/tls");
        json!({
            "web": self.file("web.sock"), "imd": self.file("imd.sock"), "screens": screens,
            "charts": true, "key": tls.join("server.key"), "certificate": tls.join("server.crt"),
        })
    }

    /// A file of it: `root/` before a path of the box.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The box's command line, to be given arguments.
    ///
    /// # Errors
    ///
    /// It is not built.
    pub fn provisioner(&self) -> Result<Command> {
        let mut command = Command::new(built("provisioner")?);
        command.arg("--root").arg(self.file("root"));
        Ok(command)
    }
}

/// Figures that go up and down once a day, and a disk that fills.
fn figures_of(at: i64) -> Sample {
    #[allow(clippy::cast_precision_loss, reason = "figures for a picture")]
    let days = at as f64 / 86_400.0;
    let wave = 1.0 + (days * std::f64::consts::TAU).sin();
    Sample {
        at,
        online: Some((wave * 20.0).round()),
        messages: Some(wave * 7.0),
        temperature: Some(50.0 + wave * 6.0),
        memory: Some(25.0 + wave),
        disk: Some(4e9 + days % 100.0 * 1e7),
        answer: Some(1.0 + wave),
    }
}

/// Where a box is.
struct Place {
    folder: PathBuf,
    logs: PathBuf,
}

impl Place {
    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What happens from power to pages, which nobody waits for once all is `over`.
    fn boot(&self, over: &AtomicBool) -> Result<Vec<Child>> {
        for step in ["early", "firstboot"] {
            let status = self.command("provisioner")?.arg(step).status();
            let status = status.with_context(|| format!("run provisioner {step}"))?;
            ensure!(status.success(), "provisioner {step} failed");
        }
        for folder in ["root/var/lib/perch-web", "root/var/lib/imd"] {
            fs::create_dir_all(self.at(folder)).context("make a program's folder")?;
        }
        let mut imd = self.command("imd")?;
        imd.args(["serve", "--config"]).arg(self.at("imd.toml"));
        let mut agent = self.command("provisioner")?;
        agent.args(["agent", "--socket"]).arg(self.at("agent.sock"));
        let mut web = self.command("provisioner")?;
        web.arg("web").arg("--socket").arg(self.at("web.sock"));
        web.arg("--agent").arg(self.at("agent.sock"));
        web.arg("--imd").arg(self.at(ADMIN));
        web.arg("--state").arg(self.at("root/var/lib/perch-web"));
        web.arg("--backups")
            .arg(self.at("root/var/lib/perch-backup"));
        let mut running = Vec::new();
        let mut programs = [&mut imd, &mut agent, &mut web].into_iter();
        let started = programs.try_for_each(|program| {
            running.push(program.spawn().context("start a program of the box")?);
            Ok(())
        });
        let all_answer = started.and_then(|()| self.wait_for_all(over));
        // A box that does not start leaves no program behind.
        if all_answer.is_err() {
            end(&mut running);
        }
        all_answer.map(|()| running)
    }

    /// Waits until every program answers, or all is `over`.
    fn wait_for_all(&self, over: &AtomicBool) -> Result<()> {
        for socket in ["web.sock", "agent.sock", ADMIN, "imd.sock"] {
            wait_until(Duration::from_secs(60), socket, || {
                let answers = UnixStream::connect(self.at(socket)).is_ok();
                Ok((answers || over.load(Ordering::Relaxed)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Starts the box again whenever something waits for that.
    fn keep(&self, mut running: Vec<Child>, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
            let waits = WAITING
                .iter()
                .any(|path| self.at("root").join(path).exists());
            if waits {
                // The page says so first, as on a box, which takes a while to go down.
                std::thread::sleep(Duration::from_secs(5));
                if over.load(Ordering::Relaxed) {
                    break;
                }
                end(&mut running);
                match self.boot(over) {
                    Ok(again) => running = again,
                    Err(error) => eprintln!("the box does not start again: {error:#}"),
                }
            }
        }
        end(&mut running);
    }

    fn command(&self, program: &str) -> Result<Command> {
        let file = built(program)?;
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.logs.join(format!("{program}.log")))
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
            at("root/var/lib/imd"),
            at("imd.sock"),
            at(ADMIN),
            web_chat.display(),
            tls = at("root/var/lib/perch/tls"),
        );
        fs::write(self.at("imd.toml"), text).context("write imd.toml")
    }
}

fn built(program: &str) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let file = target.join("debug").join(program);
    ensure!(file.exists(), "{} is not built", file.display());
    Ok(file)
}

/// The socket of imd's admin API.
const ADMIN: &str = "root/run/imd/admin.sock";

fn end(running: &mut Vec<Child>) {
    for mut child in running.drain(..) {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for HostBox {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
