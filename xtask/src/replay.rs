//! `cargo xtask replay`: a hundred thousand requests from a seed, decided by the native build and by the core as wasm. One
//! digest over all decisions, or they do not decide alike.

use std::{
    fs::{self, File},
    process::Stdio,
};

use crate::{
    run::{Error, cargo, command, must, output, root},
    test, wasm,
};

/// Generates, replays and compares. Prints the digest.
pub(crate) fn run(seed: u64, count: u64) -> Result<(), Error> {
    test::gateway()?;
    wasm::check()?;
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-corpus"])?)?;
    let root = root()?;
    let file = root.join("target/replay.jsonl");
    let path = file.to_str().ok_or("the repository's path is no text")?;
    let name = |error: std::io::Error| format!("cannot write {path}: {error}");
    let mut generate = command("target/e2e/acip-generate", &[&seed.to_string(), &count.to_string()])?;
    generate.stdout(Stdio::from(File::create(&file).map_err(name)?));
    must(generate)?;
    let native = output(command("target/e2e/acip-gateway", &["replay", path])?)?;
    let module = wasm::module()?;
    let module = module.to_str().ok_or("the repository's path is no text")?;
    let core = output(command("node", &["tests/wasm/replay.mjs", module, path])?)?;
    println!("native\n{native}\nwasm32-unknown-unknown on Node\n{core}");
    fs::remove_file(&file).map_err(name)?;
    if native == core {
        return Ok(());
    }
    Err(format!("the builds decide differently; replay `{path}` of seed {seed} on both and compare"))
}

/// Some seconds on two cores.
pub(crate) const SEED: u64 = 7;
pub(crate) const COUNT: u64 = 100_000;
