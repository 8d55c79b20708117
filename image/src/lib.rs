//! Builds Perch's disk image. The stages, in the order in which each takes what the one before it made
//! ([`build`]): the archives' packages ([`bases`], [`sources`]) against the lock ([`archive`],
//! [`lock`]) → installed base and our files
//! over it ([`plan`], [`rootfs`]) → file systems ([`initrd`], [`slots`], [`verity`]) → disk ([`disk`]) → `dist/`
//! ([`bundle`], [`rauc`] signed with [`keys`], [`sbom`]) → a publisher's folder ([`publish`], [`imager`]). Runs in the build root (`ci/in-buildroot`), apart from `image plan`, which needs nothing.
//!
//! Invariant: the result depends on the commit and the lock only ([`ids`]).

pub mod archive;
pub mod bases;
pub mod binfmt;
pub mod build;
pub mod bundle;
pub mod config;
pub mod cves;
pub mod disk;
pub mod facts;
pub mod ids;
pub mod imager;
pub mod initrd;
pub mod kernel;
pub mod keys;
pub mod lock;
pub mod plan;
pub mod publish;
pub mod rauc;
pub mod repack;
pub mod reproduce;
pub mod rootfs;
pub mod run;
pub mod sbom;
pub mod sha256;
pub mod slots;
pub mod sources;
pub mod verity;
