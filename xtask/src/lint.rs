//! `cargo xtask lint`: format, clippy, what deploys on AWS, licences and sources of dependencies.

use crate::{
    run::{Error, cargo, must, succeeds, tool},
    targets,
};

/// Checks them in this order.
pub(crate) fn run() -> Result<(), Error> {
    must(cargo(&["fmt", "--all", "--check"])?)?;
    must(cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?)?;
    // What is off by default.
    let components = ["clippy", "--locked", "--package", "acip-gateway", "--features", "components"];
    must(cargo(&[&components[..], &["--", "-D", "warnings"]].concat())?)?;
    targets::templates()?;
    deny()
}

/// Advisories need a database that is fetched: they are checked where it can be had.
fn deny() -> Result<(), Error> {
    tool("cargo-deny", DENY)?;
    must(cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"])?)?;
    if succeeds(cargo(&["deny", "fetch", "db"])?) {
        return must(cargo(&["deny", "--workspace", "check", "advisories"])?);
    }
    eprintln!("xtask: the advisory database cannot be fetched from here; advisories were not checked");
    Ok(())
}

const DENY: &str = "0.20.2";
