//! See `acip_probes::rest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| acip_probes::rest(input));
