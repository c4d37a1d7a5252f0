//! `acip-conform core|live`: runs the corpus, and prints a row of the matrix for each target. `live` is the build that
//! `ACIP_TARGET` and `ACIP_TRANSPORT` name. `ACIP_CASE` leaves out cases whose name does not hold it.

use std::process::ExitCode;

use acip_core::store::Memory;
use acip_corpus::{
    folder,
    inside::InProcess,
    live::Live,
    load::load,
    redis::RedisStore,
    run::{Tally, Target, run_all},
};
use acip_tests::Redis;

fn main() -> ExitCode {
    let mut failed = 0;
    let filter = std::env::var("ACIP_CASE").unwrap_or_default();
    let mut run = |target: &mut dyn Target| -> Result<(), String> {
        let cases = load(&folder()).map_err(|errors| errors.join("\n"))?;
        let tally = run_all(target, &cases, &filter);
        println!("{}", row(&target.name(), &tally));
        failed += tally.failed.len();
        for (name, wrong) in &tally.failed {
            eprintln!("FAILED {name}\n    {}", wrong.join("\n    "));
        }
        Ok(())
    };
    let done = match std::env::args().nth(1).as_deref() {
        Some("core") => run(&mut InProcess::new(Memory::default())).and_then(|()| {
            let redis = Redis::start();
            run(&mut InProcess::new(RedisStore::connect(redis.port())?))
        }),
        Some("live") => Live::start().and_then(|mut live| run(&mut live)),
        _ => Err("write `core` or `live`".to_owned()),
    };
    match done {
        Ok(()) if failed == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("acip-conform: {error}");
            ExitCode::from(2)
        }
    }
}

/// `| target | passed | failed | skipped, and why |`
fn row(target: &str, tally: &Tally) -> String {
    let skipped: usize = tally.skipped.values().sum();
    let reasons: Vec<String> =
        tally.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("| {target} | {} | {} | {skipped} | {} |", tally.passed, tally.failed.len(), reasons.join("; "))
}
