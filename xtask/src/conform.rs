//! `cargo xtask conform`: the corpus against every target and transport, as a matrix: passed, failed, skipped and why. A
//! target that is not built yet is built first. A run of everything writes the matrix into docs/conformance.md.

use std::{
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{
    conformance,
    run::{Error, command, output, root},
    setup,
    targets::{self, Target},
    test,
};

/// Which targets.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// The core and its driver in one process: embedded store, then the script on Redis.
    Core,
    /// The native server.
    Native,
    /// The Cloudflare Worker.
    Worker,
    /// The Spin application.
    Spin,
    /// The AWS Lambda function.
    Lambda,
}

impl Which {
    /// Native is none: cargo alone builds it.
    fn target(self) -> Option<Target> {
        match self {
            Self::Core | Self::Native => None,
            Self::Worker => Some(Target::Worker),
            Self::Spin => Some(Target::Spin),
            Self::Lambda => Some(Target::Lambda),
        }
    }
}

/// Builds those that are wanted, then [`run`]s them.
pub(crate) fn build_and_run(which: Option<Which>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    test::programs()?;
    let targets: Vec<Target> = wanted(which).filter_map(Which::target).collect();
    targets::build_all(&targets)?;
    run(which)
}

/// Runs what is built and prints the matrix; fails where any case does.
pub(crate) fn run(which: Option<Which>) -> Result<(), Error> {
    let mut rows = Vec::new();
    for one in wanted(which) {
        if one == Which::Core {
            rows.push(command(CONFORM, &["core"])?);
            let mut table = command(CONFORM, &["table"])?;
            table.env("ACIP_CASE", "headers/trace_context");
            conformance::replace("trace-context", &output(table)?)?;
            continue;
        }
        for &transport in TRANSPORTS {
            rows.push(live(one, transport)?);
        }
        rows.push(with_example(one)?);
    }
    let (said, failed) = all(rows)?;
    let table = format!("| target | passed | failed | skipped | why |\n|---|---|---|---|---|\n{said}");
    println!("{table}");
    if failed {
        return Err("cases fail; they are listed above".to_owned());
    }
    if which.is_none() { conformance::replace("matrix", &table) } else { Ok(()) }
}

fn wanted(which: Option<Which>) -> impl Iterator<Item = Which> {
    const ALL: [Which; 5] = [Which::Core, Which::Native, Which::Worker, Which::Spin, Which::Lambda];
    ALL.into_iter().filter(move |one| which.is_none_or(|which| which == *one))
}

/// All cases against the build as it is deployed.
fn live(which: Which, transport: &str) -> Result<Command, Error> {
    let mut conform = command(CONFORM, &["live"])?;
    let name = which.target().map_or("native", Target::name);
    conform.env("ACIP_TARGET", name).env("ACIP_TRANSPORT", transport);
    Ok(conform)
}

/// The cases of the plugin of `examples/custom-plugin` against a build that has it.
fn with_example(which: Which) -> Result<Command, Error> {
    let mut conform = live(which, "tcp")?;
    conform.env("ACIP_EXAMPLE", "1").env("ACIP_CASE", "plugins/example");
    match which.target() {
        // Gateways are started in folders of their own.
        None => conform.env("ACIP_GATEWAY_BIN", root()?.join("target/e2e/custom-gateway")),
        Some(target) => {
            let (variable, place) = target.example()?;
            conform.env(variable, place)
        }
    };
    Ok(conform)
}

/// Runs them, several at a time because each waits for its processes most of the time; gives their rows, in order, and whether
/// any case failed.
fn all(mut commands: Vec<Command>) -> Result<(String, bool), Error> {
    let next = Mutex::new(commands.iter_mut().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let one = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((place, command)) = one else { return };
                    let said = row(command);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, said));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    let mut rows = Vec::new();
    let mut failed = false;
    for (_, said) in done {
        let (said, good) = said?;
        failed |= !good;
        rows.push(said);
    }
    Ok((rows.join("\n"), failed))
}

/// What a run prints, also where cases failed; why they did goes to the person at once.
fn row(conform: &mut Command) -> Result<(String, bool), Error> {
    let done = conform.stderr(Stdio::inherit()).output();
    let done = done.map_err(|error| format!("cannot start acip-conform: {error}"))?;
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    eprintln!("xtask: {said}");
    Ok((said, done.status.success()))
}

const CONFORM: &str = "target/e2e/acip-conform";

/// All of them.
const TRANSPORTS: &[&str] = &["tcp", "rest"];
