//! The binary `acip-gateway`: the command line over the server.

mod cli;
mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
