#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "one of several properties")]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::bosh(data));
