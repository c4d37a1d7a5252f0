//! `cargo xtask test`: everything that is tested, in one run.

use crate::{
    cache_tests, conform, replay,
    run::{Error, cargo, must, nextest},
    setup, skips,
    targets::{self, PORTABLE, Target},
    wasm,
};

/// Installs what is missing, builds the gateway and runs the tests; then the REST transport, the other targets, and the corpus on
/// all of them. With a filter, only tests of the native build whose name contains it.
///
/// A step that fails does not end the run: the others tell what they have to tell, and all that failed is said at its end.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::python()?;
    setup::node()?;
    programs()?;
    wasm::guests()?;
    if let Some(filter) = filter {
        return must(nextest(&[filter])?);
    }
    skips::clear()?;
    let mut failed = Vec::new();
    for step in [same_bytes, first, targets::templates, suite_of_caches, over_rest] {
        failed.extend(step().err());
    }
    match targets::build_all(Target::TESTED) {
        Ok(()) => {
            failed.extend(Target::TESTED.iter().filter_map(|target| target.test_once().err()));
            failed.extend(conform::run(None).err());
        }
        Err(error) => failed.push(error),
    }
    failed.extend(skips::print().err());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nxtask: ")) }
}

fn same_bytes() -> Result<(), Error> {
    replay::run(replay::SEED, replay::COUNT)
}

fn first() -> Result<(), Error> {
    must(nextest(&["--filterset", FIRST])?)
}

fn suite_of_caches() -> Result<(), Error> {
    cache_tests::run(None)
}

fn over_rest() -> Result<(), Error> {
    eprintln!("xtask: native over rest");
    let mut tests = nextest(&["--filterset", &targets::filterset(PORTABLE)])?;
    tests.env("ACIP_TRANSPORT", "rest");
    skips::note(&mut tests, "native over rest")?;
    must(tests)
}

/// All tests but those that a later step runs: what is about one platform alone, and the corpus on the native build.
const FIRST: &str = "not (package(acip-tests) and test(/^(lambda|spin|worker)::/)) \
    and not (package(acip-corpus) and test(=every_case_that_can_be_seen_from_outside_holds_live))";

/// Builds what tests start and are: all of it in one go and in the profile of the end-to-end tests. Chosen one by one, packages
/// give what they share other features, and it would be built again for each.
pub(crate) fn programs() -> Result<(), Error> {
    let mut build = cargo(&["build", "--locked", "--profile", "e2e", "--workspace", "--tests"])?;
    for program in ["acip-conform", "acip-generate", "acip-lambda-host", "acip-spin-host", "acip-wasi"] {
        build.args(["--bin", program]);
    }
    must(build)?;
    gateway()
}

/// Builds the gateway alone, with the features that it ships with.
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
