//! `cargo xtask replay`: a hundred thousand requests from a seed, decided by the native build and by the core as wasm, in a
//! module without imports and in a component of WASI 0.2. One digest over all decisions, or they do not decide alike.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use crate::{
    run::{Error, command, must, output, root},
    setup, test, wasm,
};

/// Generates, replays and compares. Prints the digest.
pub(crate) fn run(seed: u64, count: u64) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::node()?;
    test::programs()?;
    wasm::check()?;
    let component = wasm::replayer()?;
    let file = root()?.join("target/replay.jsonl");
    let path = text(&file)?;
    let name = |error: std::io::Error| format!("cannot use {path}: {error}");
    let mut generate = command("target/e2e/acip-generate", &[&seed.to_string(), &count.to_string()])?;
    generate.stdout(Stdio::from(File::create(&file).map_err(name)?));
    must(generate)?;
    let native = output(command("target/e2e/acip-gateway", &["replay", path])?)?;
    println!("native\n{native}");
    let module = wasm::module()?;
    let node = output(command("node", &["tests/wasm/replay.mjs", text(&module)?, path])?)?;
    println!("{} on Node\n{node}", wasm::UNKNOWN);
    let mut wasi = command("target/e2e/acip-wasi", &[text(&component)?])?;
    wasi.stdin(Stdio::from(File::open(&file).map_err(name)?));
    let wasi = output(wasi)?;
    println!("{} on wasmtime\n{wasi}", wasm::WASIP2);
    if native != node || native != wasi {
        return Err(format!(
            "the builds decide differently; replay `{path}` of seed {seed} on each and compare"
        ));
    }
    fs::remove_file(&file).map_err(name)
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| "the repository's path is no text".to_owned())
}

/// Some seconds on two cores.
pub(crate) const SEED: u64 = 7;
pub(crate) const COUNT: u64 = 100_000;
