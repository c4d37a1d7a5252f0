//! See `acip_probes::resp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| acip_probes::resp(input));
