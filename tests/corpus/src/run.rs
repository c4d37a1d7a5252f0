//! Runs cases against a target: start it for a case, send its steps, compare, stop it.

use std::fmt;

use acip_core::store::Op;
use bytes::Bytes;
use http::HeaderMap;

use crate::{
    case::{Case, Step},
    check,
};

/// Something that a case can be run against.
pub trait Target {
    /// What the matrix calls it.
    fn name(&self) -> String;

    /// Why it cannot run this case; none if it can.
    fn lacks(&self, case: &Case) -> Option<String>;

    /// Gets ready for a case: an empty store but for what the case puts there, the case's document.
    ///
    /// # Errors
    /// What stands in the way.
    fn start(&mut self, case: &Case) -> Result<(), String>;

    /// Sends a step and waits until all that follows from it is done.
    ///
    /// # Errors
    /// What stands in the way.
    fn send(&mut self, step: &Step) -> Result<Seen, String>;

    /// Reads a string of the store.
    ///
    /// # Errors
    /// What stands in the way.
    fn read(&mut self, key: &str) -> Result<Option<Bytes>, String>;

    /// Ends what was started.
    fn stop(&mut self);
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Seen {
    /// Status.
    pub status: u16,
    /// Fields.
    pub headers: HeaderMap,
    /// Body, as far as it came.
    pub body: Bytes,
    /// Whether the body broke off.
    pub broke: bool,
    /// What origins were asked before the answer, in order.
    pub asked: Vec<Asked>,
    /// What origins were asked after it.
    pub behind: Vec<Asked>,
    /// What only the inside shows, where the target shows it.
    pub inside: Option<Inside>,
}

/// What an origin was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Its name.
    pub origin: String,
    /// `GET /path?query`.
    pub request: String,
    /// Fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// What only the inside shows.
#[derive(Debug, Default)]
pub struct Inside {
    /// Commands to the store before the verdict.
    pub asks: u32,
    /// Ms the first origin's head is waited for.
    pub timeout_ms: Option<u64>,
    /// Commands to the store in all.
    pub commands: u64,
    /// What happened.
    pub events: Vec<String>,
    /// What the store was told afterwards.
    pub writes: Vec<Op>,
    /// See [`acip_core::outcome::AccessRecord::refused`].
    pub refused: Option<String>,
    /// The matched pattern.
    pub route: Option<String>,
    /// The record id of the credential.
    pub identity: Option<String>,
    /// Everything that may be logged, counted or stored, as text: no credential may stand in it.
    pub told: String,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All as expected.
    Passed,
    /// Not, and why.
    Failed(Vec<String>),
    /// Not run, and why.
    Skipped(String),
}

/// Runs one case.
pub fn run(target: &mut dyn Target, case: &Case) -> Outcome {
    if let Some(reason) = target.lacks(case) {
        return Outcome::Skipped(reason);
    }
    let done = match target.start(case) {
        Ok(()) => steps(target, case),
        Err(error) => vec![format!("cannot start: {error}")],
    };
    target.stop();
    if done.is_empty() { Outcome::Passed } else { Outcome::Failed(done) }
}

/// Stops at the first step that fails: what comes after depends on it.
fn steps(target: &mut dyn Target, case: &Case) -> Vec<String> {
    for (index, step) in case.step.iter().enumerate() {
        for round in 0..step.repeat {
            let wrong = match target.send(step) {
                Ok(seen) => check::check(case, step, &seen, &mut |key| target.read(key)),
                Err(error) => vec![format!("cannot be sent: {error}")],
            };
            if !wrong.is_empty() {
                let round = if step.repeat > 1 { format!(", round {}", round + 1) } else { String::new() };
                let at = format!("step {} (`{}`{round})", index + 1, step.request);
                return wrong.into_iter().map(|wrong| format!("{at}: {wrong}")).collect();
            }
        }
    }
    Vec::new()
}

/// Counts of a run, and what failed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cases as expected.
    pub passed: usize,
    /// Cases not run, by reason.
    pub skipped: std::collections::BTreeMap<String, usize>,
    /// Name and mismatches of those that failed.
    pub failed: Vec<(String, Vec<String>)>,
}

/// Runs all cases whose name holds `filter`.
pub fn run_all(target: &mut dyn Target, cases: &[Case], filter: &str) -> Tally {
    let mut tally = Tally::default();
    for case in cases.iter().filter(|case| case.name.contains(filter)) {
        match run(target, case) {
            Outcome::Passed => tally.passed += 1,
            Outcome::Skipped(reason) => *tally.skipped.entry(reason).or_default() += 1,
            Outcome::Failed(wrong) => tally.failed.push((case.name.clone(), wrong)),
        }
    }
    tally
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, wrong) in &self.failed {
            writeln!(f, "FAILED {name}")?;
            for line in wrong {
                writeln!(f, "    {line}")?;
            }
        }
        let skipped: usize = self.skipped.values().sum();
        write!(f, "{} passed, {} failed, {skipped} skipped", self.passed, self.failed.len())?;
        for (reason, count) in &self.skipped {
            write!(f, "\n    {count} skipped: {reason}")?;
        }
        Ok(())
    }
}
