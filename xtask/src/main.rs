//! `cargo xtask …`: set-up, test, lint, bench; the only list of commands. What is missing is installed on the way,
//! so that a fresh Debian or Ubuntu machine with Rust needs nothing by hand.

mod bench;
mod lint;
mod run;
mod setup;
mod test;
mod wasm;

use std::process::ExitCode;

use clap::Parser;

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
    /// Measure speed against rivals on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Test { filter } => test::run(filter.as_deref()),
        Task::Lint => lint::run(),
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
