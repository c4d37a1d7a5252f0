//! `cargo xtask conform`: the corpus against every target and transport, as a matrix: passed, failed, skipped and why. A
//! target that is not built yet is built first.

use crate::{
    conformance,
    run::{Error, cargo, command, must, output},
    setup,
    targets::{Own, Target},
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

/// Runs them over these transports and prints the matrix; fails where any case does.
pub(crate) fn run(which: Option<Which>, transports: &[&str]) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    test::gateway()?;
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-corpus"])?)?;
    let mut rows = Vec::new();
    let mut failed = false;
    let wanted = |one: Which| which.is_none_or(|which| which == one);
    let mut row = |variables: &[(&str, &str)], what: &str| -> Result<(), Error> {
        let mut conform = command("target/e2e/acip-conform", &[what])?;
        conform.envs(variables.iter().copied());
        let (said, good) = matrix(conform)?;
        failed |= !good;
        rows.push(said);
        Ok(())
    };
    if wanted(Which::Core) {
        row(&[], "core")?;
        let mut table = command("target/e2e/acip-conform", &["table"])?;
        table.env("ACIP_CASE", "headers/trace_context");
        conformance::replace("trace-context", &output(table)?)?;
    }
    let built =
        [(Which::Worker, Target::Worker), (Which::Spin, Target::Spin), (Which::Lambda, Target::Lambda)];
    let built = built
        .into_iter()
        .filter(|(one, target)| which == Some(*one) || (which.is_none() && Target::TESTED.contains(target)));
    let mut names = Vec::new();
    for (_, target) in built {
        target.build(Own::Example)?;
        names.push(target.name());
    }
    if wanted(Which::Native) {
        names.insert(0, "native");
    }
    for name in names {
        for &transport in transports {
            let about = [("ACIP_TARGET", name), ("ACIP_TRANSPORT", transport)];
            row(&[about, EXAMPLE].concat(), "live")?;
        }
    }
    println!("| target | passed | failed | skipped | why |\n|---|---|---|---|---|\n{}", rows.join("\n"));
    if failed { Err("cases fail; they are listed above".to_owned()) } else { Ok(()) }
}

/// Every build is one with the plugin of `examples/custom-plugin`, so that its case is seen everywhere.
const EXAMPLE: [(&str, &str); 2] = [("ACIP_EXAMPLE", "1"), ("ACIP_GATEWAY_BIN", "target/e2e/custom-gateway")];

/// All of them.
pub(crate) const TRANSPORTS: &[&str] = &["tcp", "rest"];

/// What a run prints, also where cases failed; why they did goes to the person at once.
fn matrix(mut conform: std::process::Command) -> Result<(String, bool), Error> {
    let done = conform.stderr(std::process::Stdio::inherit()).output();
    let done = done.map_err(|error| format!("cannot start acip-conform: {error}"))?;
    Ok((String::from_utf8_lossy(&done.stdout).trim().to_owned(), done.status.success()))
}
