//! All end-to-end tests, as one program: a module is a suite, and a new file is named here. Which suites other targets run
//! is said in `xtask/src/targets/mod.rs`.

mod admin_keys;
mod bad_input;
mod cache;
mod cache_memory;
mod cache_stale;
mod cli;
mod components;
mod cors;
mod credentials;
mod dashboard;
mod demo;
mod doors;
mod errors;
mod events;
mod headers;
mod import;
mod jobs;
mod keep_alive;
mod keys;
mod lambda;
mod limits;
mod load;
mod metrics;
mod one_command;
mod origin_faults;
mod origins;
mod own_pages;
mod permits;
mod probes;
mod published;
mod recording;
mod redis_cluster;
mod redis_rest;
mod redis_settings;
mod rest;
mod runtime_changes;
mod secrets;
mod signals;
mod spin;
mod store_down;
mod store_login;
mod store_model;
mod streams;
mod tls;
mod traces;
mod worker;
mod worker_keys;
mod workers;

/// A file that is not named above would never run.
#[test]
fn every_suite_is_named() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).expect("the folder");
    for entry in folder {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let suite = name.trim_end_matches(".rs");
        let named = include_str!("main.rs").contains(&format!("\nmod {suite};\n"));
        assert!(named || suite == "main", "`mod {suite};` is missing in tests/tests/main.rs");
    }
}
