//! `cargo xtask test`: everything that is tested, in one run.

use crate::{
    run::{Error, cargo, command, must, succeeds},
    setup, wasm,
};

/// Installs what is missing, builds the gateway and runs the tests, then the check of the core's wasm.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::python()?;
    setup::node()?;
    // One profile for the gateway and its tests, so that dependencies are built once.
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-gateway"])?)?;
    if filter.is_none() {
        wasm::check()?;
    }
    tests(filter)
}

fn tests(filter: Option<&str>) -> Result<(), Error> {
    let nextest = succeeds(command("cargo-nextest", &["--version"])?);
    let mut arguments = if nextest {
        vec!["nextest", "run", "--cargo-profile", "e2e"]
    } else {
        vec!["test", "--profile", "e2e"]
    };
    arguments.extend(["--locked", "--workspace"]);
    if !nextest {
        arguments.push("--no-fail-fast");
    }
    arguments.extend(filter);
    must(cargo(&arguments)?)
}
