//! `acip-sim [FIRST] [COUNT]`: runs seeds, and prints those in which something was that must not be. `acip-sim FIRST 1`
//! tells what became of that one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let number = |place, default| std::env::args().nth(place).map_or(Ok(default), |text| text.parse::<u64>());
    let (Ok(first), Ok(count)) = (number(1, 1), number(2, 1_000)) else {
        eprintln!("acip-sim: write the first seed and how many");
        return ExitCode::from(2);
    };
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    let mut failed = 0;
    for seed in first..first + count {
        let told = acip_sim::run(seed);
        for (what, often) in &told.counts {
            *counts.entry(what.clone()).or_default() += often;
        }
        failed += u64::from(!told.wrong.is_empty());
        for wrong in &told.wrong {
            println!("seed {seed}: {}: {}", wrong.rule, wrong.how);
        }
        if count == 1 {
            println!("{}digest {}", told.transcript, told.digest);
        }
    }
    for (what, often) in &counts {
        println!("{often:>8} {what}");
    }
    println!("{count} seeds from {first}, {} requests, {failed} seeds failed", counts.values().sum::<u64>());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
