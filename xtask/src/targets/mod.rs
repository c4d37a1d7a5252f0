//! The builds that run on platforms: `cargo xtask worker|spin|lambda build|dev|test`. One file each says how it is built
//! and what serves it; what they have in common is here.

mod lambda;
mod spin;
mod worker;

pub(crate) use lambda::templates;

use std::process::Command;

use clap::Subcommand;

use crate::{
    run::{Error, must, nextest},
    setup,
};

/// What to do with a target.
#[derive(Subcommand)]
pub(crate) enum Act {
    /// Build it as it is deployed; installs what is missing
    Build,
    /// Build it and serve it on loopback, with the gateway's variables from the environment, until SIGTERM
    Dev {
        /// Port to listen on; 0 takes a free one
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// Build it and run the end-to-end tests against it, over TCP and over REST
    Test {
        /// Only tests whose name contains this
        filter: Option<String>,
        /// Lambda: what stands in for the platform
        #[arg(long, value_enum, default_value_t)]
        emulator: Emulator,
    },
}

/// What stands in for Lambda.
#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Emulator {
    /// Ours, which also freezes processes
    #[default]
    Own,
    /// `cargo lambda watch`
    Watch,
}

impl Emulator {
    /// As `ACIP_LAMBDA_EMULATOR` spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Watch => "watch",
        }
    }

    /// What a filter has to say of tests that do not pass behind it.
    fn without(self) -> String {
        let lacks = if self == Self::Watch { lambda::NOT_BEHIND_WATCH } else { &[] };
        lacks.iter().map(|(test, _)| format!(" and not test(={test})")).collect()
    }
}

/// Which plugins of one's own a build has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// None: the build that is deployed.
    Nothing,
    /// That of `examples/custom-plugin`.
    Example,
}

impl Own {
    /// What cargo has to be told.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Example => &["--features", "example"],
        }
    }
}

/// A build that runs on a platform.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Cloudflare Worker.
    Worker,
    /// A Spin application.
    Spin,
    /// An AWS Lambda function.
    Lambda,
}

impl Target {
    /// Those that `cargo xtask test` builds and tests.
    pub(crate) const TESTED: &[Self] = &[Self::Worker, Self::Spin, Self::Lambda];

    /// Its name, as `ACIP_TARGET` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Spin => "spin",
            Self::Lambda => "lambda",
        }
    }

    /// Does it.
    pub(crate) fn act(self, act: &Act) -> Result<(), Error> {
        self.build(Own::Nothing)?;
        match act {
            Act::Build => Ok(()),
            Act::Dev { port } => {
                let mut command = self.launcher()?;
                command.env("GATEWAY_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
                replace(command)
            }
            Act::Test { filter, emulator } => {
                if self != Self::Lambda && *emulator != Emulator::Own {
                    return Err("`--emulator` is about Lambda: write `cargo xtask lambda test`".to_owned());
                }
                setup::packages(setup::TESTS)?;
                setup::python()?;
                setup::node()?;
                crate::test::gateway()?;
                self.test(filter.as_deref(), *emulator)
            }
        }
    }

    /// Builds it as it is deployed, and what serves it here.
    pub(crate) fn build(self, own: Own) -> Result<(), Error> {
        match self {
            Self::Worker => worker::build(own),
            Self::Spin => spin::build(own),
            Self::Lambda => lambda::build(own),
        }
    }

    /// Runs the end-to-end tests against what was built, over each transport.
    fn test(self, filter: Option<&str>, emulator: Emulator) -> Result<(), Error> {
        self.suites("tcp", filter, PORTABLE, emulator)?;
        self.suites("rest", filter, PORTABLE, emulator)
    }

    /// As [`Target::test`] for a run of everything: over REST only what the store has a part in, since the rest was seen over TCP.
    pub(crate) fn test_once(self) -> Result<(), Error> {
        self.suites("tcp", None, PORTABLE, Emulator::Own)?;
        self.suites("rest", None, ABOUT_THE_STORE, Emulator::Own)
    }

    fn suites(
        self,
        transport: &str,
        filter: Option<&str>,
        suites: &[&str],
        emulator: Emulator,
    ) -> Result<(), Error> {
        if self == Self::Worker && transport == "tcp" {
            worker::startup()?;
        }
        eprintln!("xtask: {} over {transport}", self.name());
        let mut tests = nextest(&["--package", "acip-tests"])?;
        tests.env("ACIP_TARGET", self.name()).env("ACIP_TRANSPORT", transport);
        tests.env("ACIP_LAMBDA_EMULATOR", emulator.name());
        match filter {
            Some(filter) => tests.arg(filter),
            None => {
                let own = [suites, &[self.name()]].concat();
                tests.args(["--filterset", &(filterset(&own) + &emulator.without())])
            }
        };
        must(tests)
    }

    /// The one command that serves it: takes the gateway's variables from its environment.
    fn launcher(self) -> Result<Command, Error> {
        match self {
            Self::Worker => worker::launcher(),
            Self::Spin => spin::launcher(),
            Self::Lambda => lambda::launcher(),
        }
    }
}

/// The tests of these suites, as nextest takes it.
pub(crate) fn filterset(suites: &[&str]) -> String {
    format!("test(/^({})::/)", suites.join("|"))
}

/// Becomes that command, so that signals reach it.
fn replace(mut command: Command) -> Result<(), Error> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(format!("cannot start {}: {error}", command.get_program().display()))
}

/// End-to-end suites that ask for nothing but a gateway, an origin and a Redis.
pub(crate) const PORTABLE: &[&str] = &[
    "admin_keys",
    "cache",
    "cache_stale",
    "cors",
    "credentials",
    "doors",
    "errors",
    "events",
    "headers",
    "jobs",
    "limits",
    "metrics",
    "one_command",
    "origins",
    "own_pages",
    "permits",
    "recording",
    "runtime_changes",
    "secrets",
    "store_down",
    "streams",
    "traces",
    "worker_keys",
    "workers",
];

/// Those of them in which the store has a part.
const ABOUT_THE_STORE: &[&str] = &[
    "admin_keys",
    "cache",
    "credentials",
    "jobs",
    "limits",
    "metrics",
    "one_command",
    "permits",
    "runtime_changes",
    "store_down",
    "worker_keys",
    "workers",
];
