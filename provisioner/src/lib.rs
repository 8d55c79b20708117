//! The box's own agent. Read in this order:
//!
//! - `tuning`: what the kernel and services should be set to (`configs/tuning`), planned, written and read back.
//! - `model`: values that a person chooses, each checked; `settings`: the settings, what follows from them, and how they are
//!   applied or left as they were.
//! - `firstboot`: identity, certificates, SSH, the first administrator; the card; every step can be cut off and run again.
//! - `agent`: carries out the typed commands of `web`, the pages, which has no rights of its own.
//! - `backup`: one encrypted file with everything, and the way back; `reset`: a box as it came.
//! - `disk`: how the disk says it is.
//! - `acme`: a certificate for the box's own domain from an authority that all devices trust.
//! - `power`: restarting and shutting down, at once or at a chosen time.
//! - `announce`: the box's second name on the network.
//! - `update`: another version of the whole system into the other slot, on trial, and back if it does not work.
//! - `files` and `system`: the only ways to read and change the machine; tests bring their own root and system.
//!
//! It must never make a working box unreachable: a bad `perch.toml` is reported and changes nothing.

pub mod acme;
pub mod agent;
pub mod announce;
pub mod backup;
pub mod disk;
pub mod files;
pub mod firstboot;
pub mod imd_config;
pub mod mdns;
pub mod model;
pub mod power;
pub mod reset;
pub mod routes;
pub mod settings;
pub mod system;
pub mod tuning;
pub mod update;
pub mod web;
