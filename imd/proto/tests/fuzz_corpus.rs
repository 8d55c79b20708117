//! The fuzz targets' properties with a stable compiler: the kept corpus, then bounded mutations of it.
//!
//! `PERCH_FUZZ_SECONDS` (one second unless given) is how long each target mutates; `PERCH_FUZZ_SEED` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "../fuzz/properties.rs"]
mod properties;
#[path = "../fuzz/runner.rs"]
mod runner;

use runner::run;

#[test]
fn every_stream_means_the_same_in_any_pieces_and_survives_writing() {
    run("stream", properties::stream);
}

#[test]
fn every_prepared_address_is_a_fixed_point() {
    run("jid", properties::jid);
}
