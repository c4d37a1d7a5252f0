//! `acip-generate SEED COUNT`: recorded requests on standard output.

use std::{
    io::{self, BufWriter, Write as _},
    process::ExitCode,
};

use acip_corpus::generate::generate;

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [seed, count] = numbers[..] else {
        eprintln!("acip-generate: write two numbers: the seed, and how many requests");
        return ExitCode::from(2);
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = generate(seed, count, |line| writeln!(out, "{line}")).and_then(|()| out.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("acip-generate: {error}");
            ExitCode::FAILURE
        }
    }
}
