//! `cargo xtask …`: set-up, test, lint, bench; the only list of commands. What is missing is installed on the way,
//! so that a fresh Debian or Ubuntu machine with Rust needs nothing by hand.

mod bench;
mod cache_tests;
mod conform;
mod conformance;
mod lint;
mod load;
mod mutants;
mod replay;
mod run;
mod setup;
mod skips;
mod targets;
mod test;
mod wasm;

use std::process::ExitCode;

use clap::Parser;

use targets::Target;

/// Commands of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install what is missing and run every test
    Test {
        /// Only tests whose name contains this; no further checks
        filter: Option<String>,
    },
    /// Check format, lints and licences
    Lint,
    /// The Cloudflare Worker
    #[command(subcommand)]
    Worker(targets::Act),
    /// The Spin application
    #[command(subcommand)]
    Spin(targets::Act),
    /// The AWS Lambda function
    #[command(subcommand)]
    Lambda(targets::Act),
    /// Run the corpus against every target and transport, and print a matrix; all of it also goes into docs/conformance.md
    Conform {
        /// Only this one
        #[arg(long)]
        target: Option<conform::Which>,
    },
    /// Change everything while two thousand requests a second go on, and see that none goes wrong
    Load {
        /// Which build: `native` or one that is built as it is deployed
        #[arg(long, default_value = "native")]
        target: load::Build,
        /// How it reaches Redis
        #[arg(long, value_enum, default_value_t)]
        transport: load::Transport,
    },
    /// Run the public suite `http-cache-tests` against the native build, and write docs/conformance.md
    CacheTests {
        /// Only the test of this id, with the traffic that it makes; nothing is written
        id: Option<String>,
    },
    /// Give the core one deliberate mistake at a time, and see whether the corpus notices
    Mutants {
        /// Only those whose name contains this
        filter: Option<String>,
    },
    /// Decide generated requests natively and as wasm, and compare
    Replay {
        /// What the requests are made from
        #[arg(long, default_value_t = replay::SEED)]
        seed: u64,
        /// How many
        #[arg(long, default_value_t = replay::COUNT)]
        count: u64,
    },
    /// Measure speed against rivals on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test { filter } => test::run(filter.as_deref()),
        Task::Lint => lint::run(),
        Task::Worker(act) => Target::Worker.act(&act),
        Task::Spin(act) => Target::Spin.act(&act),
        Task::Lambda(act) => Target::Lambda.act(&act),
        Task::Conform { target } => conform::build_and_run(target),
        Task::Load { target, transport } => load::run(target, transport),
        Task::CacheTests { id } => cache_tests::run(id.as_deref()),
        Task::Mutants { filter } => mutants::run(filter.as_deref()),
        Task::Replay { seed, count } => replay::run(seed, count),
        Task::Bench(bench) => bench::run(&bench),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
