//! See `acip_probes::document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| acip_probes::document(input));
