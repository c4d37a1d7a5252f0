//! `cargo xtask load`: the suite `load` of the end-to-end tests, against any build, with what it measured.

use crate::{
    run::{Error, must, nextest},
    setup,
    targets::{self, Target},
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

/// How it reaches Redis.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// By its own protocol
    #[default]
    Tcp,
    /// Over HTTP
    Rest,
}

impl Transport {
    /// As `ACIP_TRANSPORT` spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Rest => "rest",
        }
    }
}

/// Builds it and runs the suite.
pub(crate) fn run(build: Build, transport: Transport) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    test::programs()?;
    let target = match build {
        Build::Native => None,
        Build::Worker => Some(Target::Worker),
        Build::Spin => Some(Target::Spin),
        Build::Lambda => Some(Target::Lambda),
    };
    if let Some(target) = target {
        target.build()?;
        target.prepare()?;
    }
    suite(target.map_or("native", Target::name), transport, None)
}

/// Runs the suite against what is built, perhaps with fewer rounds of changes.
pub(crate) fn suite(target: &str, transport: Transport, rounds: Option<u32>) -> Result<(), Error> {
    let mut tests = nextest(&["--no-capture", "--filterset", &targets::filterset(&["load"])])?;
    tests.env("ACIP_TARGET", target).env("ACIP_TRANSPORT", transport.name());
    tests.envs(rounds.map(|rounds| ("ACIP_LOAD_ROUNDS", rounds.to_string())));
    must(tests)
}
