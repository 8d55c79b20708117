//! The box's own agent. Read in this order:
//!
//! - `tuning`: what the kernel and services should be set to (`configs/tuning`), planned, written and read back.
//! - `firstboot`: identity, certificates, SSH, the first administrator; every step can be cut off and run again.
//! - `files` and `system`: the only ways to read and change the machine; tests bring their own root and system.
//!
//! It must never make a working box unreachable: a bad `perch.toml` is reported and changes nothing.

pub mod files;
pub mod firstboot;
pub mod imd_config;
pub mod mdns;
pub mod model;
pub mod system;
pub mod tuning;
