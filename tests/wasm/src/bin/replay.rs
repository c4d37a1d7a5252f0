//! `acip-replay`: as `acip-gateway replay`, but from standard input and with nothing but the core, to run under WASI.

use std::{
    io::{self, BufRead as _},
    process::ExitCode,
};

use acip_core::trace::Replayer;

fn main() -> ExitCode {
    let mut replayer = Replayer::default();
    for line in io::stdin().lock().lines() {
        let decided = line.map_err(|error| error.to_string());
        let decided = decided.and_then(|line| replayer.line(&line).map_err(|error| error.to_string()));
        if let Err(error) = decided {
            eprintln!("acip-replay: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("requests {}\ndigest {}", replayer.requests(), replayer.digest());
    ExitCode::SUCCESS
}
