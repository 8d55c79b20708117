//! Package repositories made up for a test: tiny packages, a signed index, served as `file:`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use image::sha256;

/// A signing key of its own.
pub struct Key {
    home: tempfile::TempDir,
}

impl Key {
    /// Makes a key. `None` where there is no gpg; the test says so.
    pub fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            assert!(
                std::env::var_os("PERCH_BUILD_ROOT").is_none(),
                "the build root has no gpg: see ci/buildroot"
            );
            println!("SKIPPED: no gpg on this machine");
            return None;
        }
        // Not below the repository: the agent's socket has to have a short path.
        let key = Self {
            home: tempfile::Builder::new()
                .prefix("gpg")
                .tempdir_in("/tmp")
                .unwrap(),
        };
        let make = [
            "--quick-gen-key",
            "archive@example.org",
            "ed25519",
            "sign",
            "never",
        ];
        key.gpg(&[&["--passphrase", ""], &make[..]].concat());
        Some(key)
    }

    /// Writes its public half to `path`.
    pub fn export(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.gpg(&["--yes", "--output", path.to_str().unwrap(), "--export"]);
    }

    fn gpg(&self, arguments: &[&str]) {
        let output = Command::new("gpg")
            .args(["--batch", "--quiet"])
            .arg("--homedir")
            .arg(self.home.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // gpg started it for this home and would leave it running.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .status();
    }
}

/// A package: name, version, more lines of its control file, and files with their content.
pub struct Deb<'a>(
    pub &'a str,
    pub &'a str,
    pub &'a str,
    pub &'a [(&'a str, &'a str)],
);

/// One suite of a repository, with one component.
pub struct Repository {
    folder: PathBuf,
    suite: String,
    origin: String,
}

impl Repository {
    /// Makes it in `folder`, which may have other suites, signed by `key`.
    pub fn new(folder: &Path, suite: &str, origin: &str, debs: &[Deb<'_>], key: &Key) -> Self {
        let repository = Self {
            folder: folder.to_owned(),
            suite: suite.to_owned(),
            origin: origin.to_owned(),
        };
        let pool = folder.join("pool");
        fs::create_dir_all(&pool).unwrap();
        let index: String = debs.iter().map(|deb| build(&pool, deb)).collect();
        let suite = repository.suite();
        fs::create_dir_all(suite.join("main/binary-arm64")).unwrap();
        fs::write(suite.join("main/binary-arm64/Packages"), index).unwrap();
        repository.sign(key);
        repository
    }

    /// Signs it anew.
    pub fn sign(&self, key: &Key) {
        let index = self.suite().join("main/binary-arm64/Packages");
        let release = format!(
            "Origin: {0}\nLabel: {0}\nSuite: {1}\nCodename: {1}\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n\
             Architectures: arm64\nComponents: main\nSHA256:\n {2} {3} main/binary-arm64/Packages\n",
            self.origin,
            self.suite,
            sha256::file(&index).unwrap(),
            fs::metadata(&index).unwrap().len()
        );
        let (plain, signed) = (self.suite().join("plain"), self.suite().join("InRelease"));
        fs::write(&plain, release).unwrap();
        let (plain, signed) = (plain.to_str().unwrap(), signed.to_str().unwrap());
        key.gpg(&[
            "--yes",
            "--digest-algo",
            "SHA512",
            "--output",
            signed,
            "--clearsign",
            plain,
        ]);
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("file:{}", self.folder.display())
    }

    /// The index of its packages.
    pub fn index(&self) -> PathBuf {
        self.suite().join("main/binary-arm64/Packages")
    }

    /// The file of a package.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("pool").join(name)
    }

    fn suite(&self) -> PathBuf {
        self.folder.join("dists").join(&self.suite)
    }
}

/// Builds a package in `pool` and gives its paragraph of the index.
fn build(pool: &Path, deb: &Deb<'_>) -> String {
    let Deb(name, version, more, files) = deb;
    let tree = tempfile::tempdir().unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: arm64\nMaintainer: Nobody <nobody@example.org>\n\
         {more}Description: made up for a test\n"
    );
    fs::create_dir_all(tree.path().join("DEBIAN")).unwrap();
    fs::write(tree.path().join("DEBIAN/control"), &control).unwrap();
    for (path, content) in *files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let file = format!("{name}_{}_arm64.deb", version.replace(':', "%3a"));
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "--build"])
        .arg(tree.path())
        .arg(pool.join(&file))
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let bytes = fs::metadata(pool.join(&file)).unwrap().len();
    let mut text = control;
    write!(
        text,
        "Filename: pool/{file}\nSize: {bytes}\nSHA256: {}\n\n",
        sha256::file(&pool.join(&file)).unwrap()
    )
    .unwrap();
    text
}
