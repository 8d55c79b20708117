//! What the end-to-end tests share: emulated machines, cards, clients and servers under test.
//!
//! - [`lab`]: one test's folders, its notes and its evidence.
//! - [`box_settings`]: the `perch.toml` of a test.
//! - [`chat`]: two people talk, over a reset of their box.
//! - [`card`]: an image file as a user would flash it, and the files on its FAT partition.
//! - [`vm`], with [`qemu`], [`qmp`] and [`shell`]: a machine that boots a card.
//! - [`guest`], [`tuning`]: what the scenarios ask a booted box; [`agent`]: what its pages would ask.
//! - [`host_box`]: a box's agent, pages and chat server on this computer; [`host_owner`]: what its owner asks of it in a shell.
//! - [`host_imd`]: an `imd` on this computer, with accounts and a certificate authority of its own.
//! - [`peers`], with [`dns`]: other servers from Debian's packages, and the names by which they find `imd`.
//! - [`pebble`]: a certificate authority that speaks ACME; [`certified_box`]: a box that asks it.
//! - [`authority`] gives certificates to servers under test.
//! - [`clients`]: slixmpp from PyPI, driven by the scripts in `tests/clients/`.
//! - [`node`]: libraries from npm and the scripts that use them; [`baseline`]: what others' tests are known to find.
//! - [`terminal`]: programs in a terminal, by tmux.
//! - [`xmpp`]: a small client of our own, for what slixmpp cannot do and for thousands of sessions.
//! - [`fill`]: databases with millions of messages.
//! - [`talkers`]: people who talk until the server is killed, and what must then be in the archives; [`slow_disk`]: a disk
//!   whose syncs are slow, fail, or are forgotten, and whose power can be cut; [`residents`]: people who come back and resume.
//! - [`publisher`]: a static HTTPS server that counts what it sends; [`updates`]: releases made for a test, and a box that gets them.
//! - [`offsite`]: an SSH server and an S3 server that get backups, and a wire to them that can be cut.
//! - [`command`], [`wait`]: running programs and waiting for conditions.
//!
//! The tests are in `tests/scenarios/`, marked as ignored: `ci/test` runs them by suite; a plain
//! `cargo test` leaves them out and says so.

pub mod agent;
pub mod authority;
pub mod baseline;
pub mod box_settings;
pub mod card;
pub mod certified_box;
pub mod chat;
pub mod clients;
pub mod command;
pub mod dns;
pub mod fill;
pub mod guest;
pub mod host_box;
pub mod host_imd;
pub mod host_owner;
pub mod lab;
pub mod moments;
pub mod new_box;
pub mod node;
pub mod offsite;
pub mod pebble;
pub mod peers;
pub mod publisher;
pub mod qemu;
pub mod qmp;
pub mod residents;
pub mod shell;
pub mod slow_disk;
pub mod talkers;
pub mod terminal;
pub mod tuning;
pub mod update_scene;
pub mod updates;
pub mod vm;
pub mod wait;
pub mod xmpp;
