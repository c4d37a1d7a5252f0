//! Serves the Spin build on loopback: runs the component of `spin.toml` as Spin would, with the gateway's variables from the
//! environment. A stand-in for `spin up` where that program is not at hand, and what the end-to-end tests start.
//!
//! [`manifest`] is read as strictly as Spin reads it; [`variables`] and [`allowed`] are its rules for what a component may know
//! and reach; [`state`] is what an instance sees of the world, over [`client`] and [`spin`]; [`server`] gives requests to
//! instances. It is no platform: it has no TLS, one component and one route.

mod allowed;
mod client;
mod engine;
mod manifest;
mod server;
mod spin;
mod state;
mod variables;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        None => serve(),
        Some("precompile") => precompile(&root()),
        Some(other) => Err(format!("unknown command `{other}`; write `precompile`, or nothing to serve")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("acip-spin-host: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compiles what is there: a start takes no time then.
fn precompile(root: &Path) -> Result<(), String> {
    let manifest = manifest::Manifest::read(&root.join("spin.toml"))?;
    engine::precompile(&root.join(server::source(&manifest)))?;
    let plain = root.join(server::PLAIN);
    if plain.exists() { engine::precompile(&plain) } else { Ok(()) }
}

fn serve() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(server::run(&root()))
}

/// Of the repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
