//! A box with its web process, agent and chat server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use provisioner::agent::serve::{Bench, Callers, bind, serve};
use provisioner::files::Files;
use provisioner::settings::apply::Machine;
use provisioner::system::System;
use provisioner::web::{self, Options, Web};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::net::UnixListener;

use super::browser::Browser;
use super::imd::FakeImd;

/// What the system was asked to do.
#[derive(Clone, Default)]
pub struct Told {
    pub commands: Arc<Mutex<Vec<String>>>,
    pub clock: Arc<Mutex<Option<i64>>>,
    answers: Arc<Mutex<Vec<(String, String)>>>,
}

impl Told {
    /// What commands that begin so print.
    pub fn answer(&self, command: &str, output: &str) {
        let answer = (command.to_owned(), output.to_owned());
        self.answers.lock().unwrap().push(answer);
    }
}

struct TestBench {
    root: PathBuf,
    told: Told,
}

struct TestSystem(Told);

impl Bench for TestBench {
    fn files(&self) -> Files {
        Files::new(&self.root)
    }

    fn system(&self) -> Box<dyn System> {
        Box::new(TestSystem(self.told.clone()))
    }
}

impl System for TestSystem {
    fn run_as(
        &self,
        _: Option<&str>,
        command: &[&str],
        _: Option<&str>,
    ) -> anyhow::Result<(i32, String)> {
        let command = command.join(" ");
        let answers = self.0.answers.lock().unwrap();
        let found = answers.iter().find(|(begin, _)| command.starts_with(begin));
        let output = found.map(|(_, output)| output.clone()).unwrap_or_default();
        self.0.commands.lock().unwrap().push(command);
        Ok((0, output))
    }

    fn unit_property(&self, _: &str, property: &str) -> anyhow::Result<Option<String>> {
        Ok((property == "ActiveState").then(|| "active".to_owned()))
    }

    fn now(&self) -> OffsetDateTime {
        let set = *self.0.clock.lock().unwrap();
        set.map_or_else(OffsetDateTime::now_utc, |unix| {
            OffsetDateTime::from_unix_timestamp(unix).unwrap()
        })
    }

    fn set_clock(&self, time: OffsetDateTime) -> anyhow::Result<()> {
        *self.0.clock.lock().unwrap() = Some(time.unix_timestamp());
        Ok(())
    }

    fn set_host_name(&self, _: &str) -> anyhow::Result<()> {
        Ok(())
    }

    fn mount(&self, _: &str, _: &Path, _: &str, _: bool) -> anyhow::Result<()> {
        Ok(())
    }

    fn unmount(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn addresses(&self) -> Vec<std::net::IpAddr> {
        Vec::new()
    }

    fn is_name_taken(&self, _: &str) -> anyhow::Result<bool> {
        Ok(false)
    }
}

pub struct Site {
    pub folder: TempDir,
    pub imd: FakeImd,
    pub told: Told,
}

impl Site {
    /// A new box that was started a minute ago.
    pub async fn start() -> Self {
        Self::start_with(&[("/proc/uptime", "60.0 1.0\n")]).await
    }

    pub async fn start_with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for (path, content) in files {
            put(&root, path, content);
        }
        put(&root, "/usr/share/zoneinfo/Europe/Berlin", "");
        put(
            &root,
            "/data/etc/machine-id",
            "0123456789abcdef0123456789abcdef\n",
        );
        let told = Told::default();
        let bench = TestBench {
            root: root.clone(),
            told: told.clone(),
        };
        // As the first start does it.
        let (boot_files, system) = (bench.files(), bench.system());
        provisioner::firstboot::run(&boot_files, system.as_ref(), |_| {}).unwrap();
        let options = Options {
            socket: folder.path().join("web.sock"),
            agent: folder.path().join("agent.sock"),
            imd: folder.path().join("imd.sock"),
            state: folder.path().to_owned(),
            backups: root.join("var/lib/perch-backup"),
            root: root.clone(),
        };
        let listener = bind(&options.agent, None).unwrap();
        let callers = Callers::with_user("perch-web").unwrap();
        std::thread::spawn(move || serve(&listener, Arc::new(bench), callers));
        let imd = FakeImd::start(&options.imd);
        let web = Web::open(&options).unwrap();
        let listener = UnixListener::bind(&options.socket).unwrap();
        tokio::spawn(axum::serve(listener, web::router(&web)).into_future());
        Self { folder, imd, told }
    }

    /// A box that anna has claimed, with nobody signed in.
    pub async fn claimed() -> Self {
        let made =
            r#"{"made":{"by":"anna","address":"192.168.1.23","at":1796126400,"set_up":true}}"#;
        let files = [
            ("/proc/uptime", "90000.0 1.0\n"),
            ("/var/lib/perch/claim.json", made),
        ];
        let site = Self::start_with(&files).await;
        site.imd.add("anna", PASSWORD, "admin");
        site.imd.add("ben", PASSWORD, "member");
        site
    }

    /// A browser at an address.
    pub fn browser(&self, address: &str) -> Browser {
        Browser::new(self.folder.path().join("web.sock"), address)
    }

    /// anna's browser, signed in.
    pub async fn anna(&self) -> Browser {
        let mut browser = self.browser("192.168.1.23");
        browser.open("/sign-in").await;
        let page = browser
            .send("/sign-in", &[("name", "anna"), ("password", PASSWORD)])
            .await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// What a unit of the box does.
    pub fn with_machine<T>(&self, done: impl FnOnce(Machine<'_>) -> T) -> T {
        let files = Files::new(self.folder.path().join("root"));
        let system = TestSystem(self.told.clone());
        done(Machine {
            files: &files,
            system: &system,
        })
    }

    pub fn file(&self, path: &str) -> String {
        let place = self
            .folder
            .path()
            .join("root")
            .join(path.trim_start_matches('/'));
        std::fs::read_to_string(place).unwrap_or_default()
    }

    pub fn put(&self, path: &str, content: &str) {
        put(&self.folder.path().join("root"), path, content);
    }

    pub fn remove(&self, path: &str) {
        let root = self.folder.path().join("root");
        std::fs::remove_file(root.join(path.trim_start_matches('/'))).unwrap();
    }
}

pub const PASSWORD: &str = "kaffee im garten um sieben";

fn put(root: &std::path::Path, path: &str, content: &str) {
    let place = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, content).unwrap();
}
