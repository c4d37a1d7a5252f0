//! The builds that run on platforms: `cargo xtask worker|spin|lambda build|dev|test`. One file each says how it is built
//! and what serves it; what they have in common is here.

mod lambda;
mod spin;
mod worker;

pub(crate) use lambda::templates;

use std::{path::PathBuf, process::Command, thread};

use clap::Subcommand;

use crate::{
    load,
    run::{Error, must, nextest, root},
    setup, skips, wasm,
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
        self.build()?;
        match act {
            Act::Build => Ok(()),
            Act::Dev { port } => {
                self.host()?;
                self.prepare()?;
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
                crate::test::programs()?;
                self.prepare()?;
                if self == Self::Worker {
                    worker::startup()?;
                }
                skips::clear()?;
                self.test(filter.as_deref(), *emulator)?;
                skips::print()
            }
        }
    }

    /// Builds it as it is deployed.
    pub(crate) fn build(self) -> Result<(), Error> {
        match self {
            Self::Worker => worker::build(),
            Self::Spin => spin::build(),
            Self::Lambda => lambda::build(),
        }
    }

    /// Builds the program that serves it here, where that is one of ours; it is also among [`crate::test::programs`].
    pub(crate) fn host(self) -> Result<(), Error> {
        match self {
            Self::Worker => Ok(()),
            Self::Spin => spin::host(),
            Self::Lambda => lambda::host(),
        }
    }

    /// Makes ready what was built, with the program that serves it.
    pub(crate) fn prepare(self) -> Result<(), Error> {
        if self == Self::Spin { spin::prepare() } else { Ok(()) }
    }

    /// Builds it with the plugin of `examples/custom-plugin`, away from what is deployed. Gives the variable and its value by which
    /// what serves it here takes that build.
    pub(crate) fn example(self) -> Result<(&'static str, PathBuf), Error> {
        match self {
            Self::Worker => worker::example(),
            Self::Spin => spin::example(),
            Self::Lambda => lambda::example(),
        }
    }

    /// Runs the end-to-end tests against what was built, over each transport.
    fn test(self, filter: Option<&str>, emulator: Emulator) -> Result<(), Error> {
        for transport in ["tcp", "rest"] {
            if let Some(filter) = filter {
                let mut tests = self.tests(transport, emulator)?;
                tests.args(["--filterset", &format!("package(acip-tests) and test({filter})")]);
                must(tests)?;
            } else {
                self.suites(transport, PORTABLE, emulator)?;
            }
        }
        Ok(())
    }

    /// As [`Target::test`] for a run of everything: over REST only what the store has a part in, since the rest was seen over TCP.
    /// Of Lambda, a few tests behind the emulator that is not ours.
    pub(crate) fn test_once(self) -> Result<(), Error> {
        if self == Self::Worker {
            worker::startup()?;
        }
        self.suites("tcp", PORTABLE, Emulator::Own)?;
        self.suites("rest", ABOUT_THE_STORE, Emulator::Own)?;
        match self {
            // By itself: it leaves other tests nothing of the machine.
            Self::Worker => load::suite(self.name(), load::Transport::Tcp, Some(LOAD_ROUNDS)),
            Self::Spin => Ok(()),
            Self::Lambda => {
                eprintln!("xtask: lambda behind `cargo lambda watch`");
                let mut tests = self.tests("tcp", Emulator::Watch)?;
                let some: Vec<_> = lambda::BEHIND_WATCH.iter().map(|test| format!("test(={test})")).collect();
                tests.args(["--filterset", &format!("package(acip-tests) and ({})", some.join(" or "))]);
                must(tests)
            }
        }
    }

    fn suites(self, transport: &str, suites: &[&str], emulator: Emulator) -> Result<(), Error> {
        eprintln!("xtask: {} over {transport}", self.name());
        let mut tests = self.tests(transport, emulator)?;
        skips::note(&mut tests, &format!("{} over {transport}", self.name()))?;
        let own = [suites, &[self.name()]].concat();
        tests.args(["--filterset", &(filterset(&own) + &emulator.without())]);
        must(tests)
    }

    /// A run of tests against what was built, without what says which.
    fn tests(self, transport: &str, emulator: Emulator) -> Result<Command, Error> {
        let mut tests = nextest(&[])?;
        tests.env("ACIP_TARGET", self.name()).env("ACIP_TRANSPORT", transport);
        tests.env("ACIP_LAMBDA_EMULATOR", emulator.name());
        Ok(tests)
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

/// Builds all of these and makes them ready, several at a time: what is optimised as a whole keeps one core busy.
pub(crate) fn build_all(targets: &[Target]) -> Result<(), Error> {
    // What they share is made ready first.
    setup::node()?;
    for target in [wasm::UNKNOWN, wasm::WASIP2].into_iter().filter(|_| !targets.is_empty()) {
        wasm::compiler(target)?;
    }
    let builds: Vec<Result<_, Error>> = thread::scope(|scope| {
        let started: Vec<_> = targets.iter().map(|target| scope.spawn(|| target.build())).collect();
        let ended = started.into_iter().map(|build| build.join().map_err(|_| "a build panicked".to_owned()));
        ended.collect::<Vec<_>>()
    });
    builds.into_iter().try_for_each(|built| built?)?;
    targets.iter().try_for_each(|target| target.prepare())
}

/// Builds with the example plugin: nothing that is deployed is here.
fn examples() -> Result<PathBuf, Error> {
    Ok(root()?.join("target/example"))
}

/// The end-to-end tests of these suites, as nextest takes it.
pub(crate) fn filterset(suites: &[&str]) -> String {
    format!("package(acip-tests) and test(/^({})::/)", suites.join("|"))
}

/// Becomes that command, so that signals reach it.
fn replace(mut command: Command) -> Result<(), Error> {
    use std::os::unix::process::CommandExt as _;
    let error = command.exec();
    Err(format!("cannot start {}: {error}", command.get_program().display()))
}

/// What cargo is told for the plugin of `examples/custom-plugin`.
const EXAMPLE: [&str; 2] = ["--features", "example"];

/// Of a hundred that `cargo xtask load` makes: a run of everything has other things to do.
const LOAD_ROUNDS: u32 = 20;

/// End-to-end suites that ask for nothing but a gateway, an origin and a Redis.
pub(crate) const PORTABLE: &[&str] = &[
    "admin_keys",
    "cache",
    "cache_memory",
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
    "published",
    "recording",
    "runtime_changes",
    "secrets",
    "store_down",
    "store_login",
    "streams",
    "traces",
    "worker_keys",
    "workers",
];

/// Those of them in which the store has a part.
const ABOUT_THE_STORE: &[&str] = &[
    "admin_keys",
    "cache",
    "cache_memory",
    "credentials",
    "jobs",
    "limits",
    "metrics",
    "one_command",
    "permits",
    "runtime_changes",
    "secrets",
    "store_down",
    "worker_keys",
    "workers",
];
