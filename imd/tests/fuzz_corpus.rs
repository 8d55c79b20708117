//! The fuzz targets of imd/fuzz with a stable compiler, run like those of imd/proto.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "../fuzz/properties.rs"]
mod properties;
#[path = "../proto/fuzz/runner.rs"]
mod runner;

use runner::run;

#[test]
fn nobody_gets_in_with_made_up_scram_messages() {
    run("scram", properties::scram);
}

#[test]
fn every_settings_file_is_read_or_refused_in_words() {
    run("config", properties::config);
}

#[test]
fn every_connection_of_a_browser_is_answered_or_ended() {
    run("http", properties::http);
}

#[test]
fn every_file_of_people_is_read_or_refused_in_words() {
    run("people_csv", properties::people_csv);
}

#[test]
fn every_request_of_a_bosh_session_is_answered_in_bodies() {
    run("bosh", properties::bosh);
}
