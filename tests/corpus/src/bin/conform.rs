//! `acip-conform core|embedded|live`: runs the corpus, and prints a row of the matrix for each target. `core` is in process,
//! with the embedded store (`embedded`: with that alone) and with Redis. `table` prints a line for each case. `live` is the build that
//! `ACIP_TARGET` and `ACIP_TRANSPORT` name. `ACIP_CASE` leaves out cases whose name does not hold it.

use std::process::ExitCode;

use acip_core::store::Memory;
use acip_corpus::{
    folder,
    inside::InProcess,
    live::Live,
    load::load,
    redis::RedisStore,
    run::{Outcome, Tally, Target, run as run_one, run_all},
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
        Some("embedded") => run(&mut InProcess::new(Memory::default())),
        Some("core") => run(&mut InProcess::new(Memory::default())).and_then(|()| {
            let redis = Redis::start();
            run(&mut InProcess::new(RedisStore::connect(redis.port())?))
        }),
        Some("table") => table(&filter),
        Some("live") => Live::start().and_then(|mut live| run(&mut live)),
        _ => Err("write `core`, `embedded`, `live` or `table`".to_owned()),
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

/// `| case | holds |`, with the embedded store.
fn table(filter: &str) -> Result<(), String> {
    let cases = load(&folder()).map_err(|errors| errors.join("\n"))?;
    let mut target = InProcess::new(Memory::default());
    println!("| rule | |\n|---|---|");
    for case in cases.iter().filter(|case| case.name.contains(filter)) {
        let holds = match run_one(&mut target, case) {
            Outcome::Passed => "holds".to_owned(),
            Outcome::Failed(wrong) => format!("**{}**", wrong.join("; ")),
            Outcome::Skipped(why) => why,
        };
        let name = case.name.split_once(": ").map_or(case.name.as_str(), |(_, name)| name);
        println!("| {name} | {holds} |");
    }
    Ok(())
}

/// `| target | passed | failed | skipped, and why |`
fn row(target: &str, tally: &Tally) -> String {
    let skipped: usize = tally.skipped.values().sum();
    let reasons: Vec<String> =
        tally.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("| {target} | {} | {} | {skipped} | {} |", tally.passed, tally.failed.len(), reasons.join("; "))
}
