//! `cargo xtask lint`: format, clippy, licences and sources of dependencies.

use crate::run::{Error, cargo, command, must, root, succeeds};

/// Checks them in this order.
pub(crate) fn run() -> Result<(), Error> {
    must(cargo(&["fmt", "--all", "--check"])?)?;
    must(cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?)?;
    deny()
}

/// Advisories need a database that is fetched: they are checked where it can be had.
fn deny() -> Result<(), Error> {
    let program =
        if succeeds(command("cargo-deny", &["--version"])?) { "cargo-deny".to_owned() } else { installed()? };
    must(command(&program, &["--workspace", "check", "bans", "licenses", "sources"])?)?;
    if succeeds(command(&program, &["fetch", "db"])?) {
        return must(command(&program, &["--workspace", "check", "advisories"])?);
    }
    eprintln!("xtask: the advisory database cannot be fetched from here; advisories were not checked");
    Ok(())
}

fn installed() -> Result<String, Error> {
    let folder = root()?.join("target/tools");
    let program = folder.join("bin/cargo-deny").display().to_string();
    if !succeeds(command(&program, &["--version"])?) {
        let folder = folder.display().to_string();
        let mut install =
            cargo(&["install", "--locked", "cargo-deny", "--version", DENY, "--root", &folder])?;
        // It runs for a second: build it fast rather than fast-running.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
        must(install)?;
    }
    Ok(program)
}

const DENY: &str = "0.20.2";
