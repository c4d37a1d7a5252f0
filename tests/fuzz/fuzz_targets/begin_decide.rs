//! See `acip_probes::begin_decide`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| acip_probes::begin_decide(input));
