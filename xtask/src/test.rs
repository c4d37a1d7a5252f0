//! `cargo xtask test`: everything that is tested, in one run.

use crate::{
    cache_tests,
    conform::{self, Which},
    replay,
    run::{Error, cargo, must, nextest},
    setup,
    targets::{self, Own, PORTABLE, Target},
    wasm,
};

/// Installs what is missing, builds the gateway and runs the tests; then the core's wasm, the REST transport, and the
/// other targets. With a filter, only tests of the native build whose name contains it.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::python()?;
    setup::node()?;
    gateway()?;
    wasm::guests()?;
    if filter.is_none() {
        replay::run(replay::SEED, replay::COUNT)?;
    }
    let mut tests = nextest(&["--workspace"])?;
    tests.args(filter);
    must(tests)?;
    if filter.is_some() {
        return Ok(());
    }
    targets::templates()?;
    cache_tests::run(None)?;
    eprintln!("xtask: native over rest");
    let mut tests = nextest(&["--package", "acip-tests"])?;
    tests.env("ACIP_TRANSPORT", "rest").args(["--filterset", &targets::filterset(PORTABLE)]);
    must(tests)?;
    for target in Target::TESTED {
        target.build(Own::Nothing)?;
        target.test_once()?;
    }
    // The core's own rows are among the tests of the workspace.
    conform::run(Some(Which::Native), conform::TRANSPORTS)?;
    for which in [Which::Worker, Which::Spin, Which::Lambda] {
        conform::run(Some(which), &["tcp"])?;
    }
    Ok(())
}

/// Builds the gateway that end-to-end tests start: in their own profile, so that dependencies are built once.
pub(crate) fn gateway() -> Result<(), Error> {
    must(cargo(&[
        "build",
        "--locked",
        "--profile",
        "e2e",
        "--package",
        "acip-gateway",
        "--package",
        "custom-gateway",
    ])?)
}
