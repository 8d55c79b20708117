//! Reads and writes the places where settings live.

use anyhow::{Context, Result, bail};

use super::plan::{Observed, State, Target, normal, selection};
use super::setting::{Setting, Wanted, Wherever};
use super::{journald, mounts, qdisc, zram};
use crate::files::{Access, Files};
use crate::system::System;

/// The machine whose settings are read and written.
pub struct Machine<'a> {
    /// Its files.
    pub files: &'a Files,
    /// Its programs.
    pub system: &'a dyn System,
}

impl Machine<'_> {
    /// Every place that a setting has on this machine, with what is there; a single absent one if it has none.
    pub fn observe(&self, setting: &Setting) -> Vec<Observed> {
        match &setting.place {
            Wherever::Files {
                pattern,
                only_if,
                offered_in,
            } => {
                let listed = match &setting.wanted {
                    Wanted::SameAs(file) => Some(file),
                    _ => offered_in.as_ref(),
                };
                self.observe_files(pattern, only_if.as_ref(), listed.map(String::as_str))
            }
            Wherever::Unit { unit, property } => {
                let target = Target::Unit {
                    unit: unit.clone(),
                    property: property.clone(),
                };
                vec![self.observe_one(target)]
            }
            Wherever::Journald => vec![self.observe_one(Target::Journald(setting.name.clone()))],
            Wherever::Mount { path, option } => vec![self.observe_one(Target::Mount {
                path: path.clone(),
                option: option.clone(),
            })],
            Wherever::Qdisc { device } => self.observe_devices(device),
            Wherever::Zram { percent, priority } => {
                let size = zram::size(self.files, *percent);
                let target = Target::Zram {
                    size: size.unwrap_or(0),
                    priority: *priority,
                };
                match size {
                    Some(_) => vec![self.observe_one(target)],
                    None => vec![Observed {
                        target,
                        state: State::Absent("/proc/meminfo has no MemTotal".to_owned()),
                    }],
                }
            }
        }
    }

    fn observe_files(
        &self,
        pattern: &str,
        only_if: Option<&(String, String)>,
        offered_in: Option<&str>,
    ) -> Vec<Observed> {
        let mut paths = self.files.matching(pattern);
        if let Some((file, holds)) = only_if {
            paths.retain(|path| self.beside(path, file).is_some_and(|text| text == *holds));
        }
        if paths.is_empty() {
            let why = match only_if {
                Some((file, holds)) => format!("no {pattern} whose {file} is {holds}"),
                None => format!("no {pattern}"),
            };
            return vec![Observed {
                target: Target::File(pattern.to_owned()),
                state: State::Absent(why),
            }];
        }
        paths
            .into_iter()
            .map(|path| {
                let listed = offered_in.and_then(|file| self.beside(&path, file));
                let mut observed = self.observe_one(Target::File(path));
                if let (Some(listed), State::Value { offered, .. }) = (listed, &mut observed.state)
                {
                    *offered = Some(listed.split_whitespace().map(str::to_owned).collect());
                }
                observed
            })
            .collect()
    }

    fn observe_devices(&self, pattern: &str) -> Vec<Observed> {
        let folders = self.files.matching(&format!("/sys/class/net/{pattern}"));
        let devices = folders.iter().filter_map(|path| path.rsplit('/').next());
        let observed: Vec<Observed> = devices
            .map(|device| self.observe_one(Target::Qdisc(device.to_owned())))
            .collect();
        if !observed.is_empty() {
            return observed;
        }
        vec![Observed {
            target: Target::Qdisc(pattern.to_owned()),
            state: State::Absent(format!("no network device {pattern}")),
        }]
    }

    fn beside(&self, path: &str, file: &str) -> Option<String> {
        let (folder, _) = path.rsplit_once('/')?;
        self.files.read(format!("{folder}/{file}")).ok()?
    }

    fn observe_one(&self, target: Target) -> Observed {
        let state = self
            .read(&target)
            .unwrap_or_else(|error| State::Unreadable(format!("{error:#}")));
        Observed { target, state }
    }

    /// What a place holds now.
    ///
    /// # Errors
    /// It is there, but cannot be read.
    pub fn read(&self, target: &Target) -> Result<State> {
        let absent = |why: &str| Ok(State::Absent(why.to_owned()));
        let value = match target {
            Target::File(path) => match self.files.read(path) {
                Ok(Some(text)) => text,
                Ok(None) => return absent(&format!("no {path}")),
                Err(error) if is_unsupported(&error) => {
                    return absent(&format!(
                        "the kernel does not have it for this device: {path}"
                    ));
                }
                Err(error) => return Err(error),
            },
            Target::Unit { unit, property } => match self.system.unit_property(unit, property)? {
                Some(value) => value,
                None => return absent(&format!("systemd knows no {unit}")),
            },
            Target::Journald(key) => {
                if !journald::is_present(self.files) {
                    return absent("systemd-journald is not installed");
                }
                journald::read(self.files)?
                    .remove(key)
                    .unwrap_or_else(|| "unset".to_owned())
            }
            Target::Mount { path, option } => return mounts::read(self.files, path, option),
            Target::Qdisc(device) => return qdisc::read(self.system, device),
            Target::Zram { .. } => return Ok(zram::read(self.files)),
        };
        Ok(match selection(&value) {
            Some((selected, offered)) => State::Value {
                value: selected,
                offered: Some(offered),
            },
            None => State::Value {
                value: normal(&value),
                offered: None,
            },
        })
    }

    /// Whether the kernel lets nobody, root included, write a file of /proc or /sys.
    pub fn is_read_only(&self, path: &str) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(self.files.path(path));
        metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o222 == 0)
    }

    /// Writes a value that [`super::plan`] decided on.
    ///
    /// # Errors
    /// The kernel, a tool or the file system refused.
    pub fn write(&self, target: &Target, value: &str) -> Result<()> {
        match target {
            Target::File(path) => self.files.write_setting(path, value),
            Target::Unit { unit, property } => self.write_unit(unit, property, value),
            Target::Journald(key) => journald::write(self.files, key, value),
            Target::Mount { path, .. } => bail!("{path} is mounted by the initrd"),
            Target::Qdisc(device) => qdisc::write(self.system, device, value),
            Target::Zram { size, priority } => {
                let algorithm = value.split(',').next().unwrap_or_default();
                zram::set_up(self.files, self.system, algorithm, *size, *priority)
            }
        }
    }

    /// A drop-in that lasts until the next boot: the root file system is read-only.
    fn write_unit(&self, unit: &str, property: &str, value: &str) -> Result<()> {
        let section = match unit.rsplit_once('.') {
            Some((_, "service")) => "Service",
            Some((_, "socket")) => "Socket",
            Some((_, "slice")) => "Slice",
            _ => bail!("{unit} is no service, socket or slice"),
        };
        let path = format!("/run/systemd/system/{unit}.d/60-perch-{property}.conf");
        let text = format!("[{section}]\n{property}={value}\n");
        self.files
            .replace(&path, text.as_bytes(), Access::Everyone)?;
        self.system
            .run(&["systemctl", "daemon-reload"], None)
            .context("reloading systemd's units")?;
        Ok(())
    }

    /// Lets journald take up what was written for it.
    ///
    /// # Errors
    /// It did not restart.
    pub fn restart_journald(&self) -> Result<()> {
        self.system
            .run(&["systemctl", "restart", "systemd-journald.service"], None)
            .context("restarting journald")?;
        Ok(())
    }
}

/// Whether the kernel shows a file but has nothing behind it, as for a device without that function.
fn is_unsupported(error: &anyhow::Error) -> bool {
    use nix::errno::Errno;
    let unsupported = [
        Errno::EINVAL,
        Errno::EOPNOTSUPP,
        Errno::ENODEV,
        Errno::ENODATA,
    ];
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error)
        .is_some_and(|code| unsupported.contains(&Errno::from_raw(code)))
}
