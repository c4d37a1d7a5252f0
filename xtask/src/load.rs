//! `cargo xtask load`: the suite `load` of the end-to-end tests, against any build, with what it measured.

use crate::{
    run::{Error, must, nextest},
    setup,
    targets::{self, Own, Target},
    test,
};

/// Which build is under load.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Build {
    /// The native server.
    Native,
    /// The Cloudflare Worker.
    Worker,
    /// The Spin application.
    Spin,
    /// The AWS Lambda function.
    Lambda,
}

/// Builds it and runs the suite.
pub(crate) fn run(build: Build) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    test::gateway()?;
    let target = match build {
        Build::Native => None,
        Build::Worker => Some(Target::Worker),
        Build::Spin => Some(Target::Spin),
        Build::Lambda => Some(Target::Lambda),
    };
    if let Some(target) = target {
        target.build(Own::Nothing)?;
    }
    let name = target.map_or("native", Target::name);
    let mut tests = nextest(&["--package", "acip-tests", "--no-capture"])?;
    tests.env("ACIP_TARGET", name).args(["--filterset", &targets::filterset(&["load"])]);
    must(tests)
}
