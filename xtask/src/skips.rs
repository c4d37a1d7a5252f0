//! What tests went without: a test that needs what a build lacks ends early and counts as passed, so it notes in a file what it
//! lacked (`tests/src/feature.rs`), and a run says at its end how many did and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use crate::run::{Error, root};

/// Forgets what earlier runs noted.
pub(crate) fn clear() -> Result<(), Error> {
    let folder = folder()?;
    let trouble = |error: std::io::Error| format!("cannot empty {}: {error}", folder.display());
    if folder.is_dir() {
        fs::remove_dir_all(&folder).map_err(trouble)?;
    }
    fs::create_dir_all(&folder).map_err(trouble)
}

/// Has the tests of this command note what they lack, under the name of their run.
pub(crate) fn note(tests: &mut Command, run: &str) -> Result<(), Error> {
    tests.env("ACIP_SKIPPED", folder()?.join(run));
    Ok(())
}

/// Prints them, run by run.
pub(crate) fn print() -> Result<(), Error> {
    let folder = folder()?;
    let files =
        fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut runs: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    runs.sort();
    for run in runs {
        let text =
            fs::read_to_string(&run).map_err(|error| format!("cannot read {}: {error}", run.display()))?;
        let name = run.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("xtask: {name}: {}", summary(&text));
    }
    Ok(())
}

/// Of lines `test`, tab, `feature: reason`. A test may ask for several features, and for each more than once.
fn summary(text: &str) -> String {
    let mut by_reason = BTreeMap::<_, BTreeSet<_>>::new();
    let mut tests = BTreeSet::new();
    for (test, reason) in text.lines().filter_map(|line| line.split_once('\t')) {
        by_reason.entry(reason).or_default().insert(test);
        tests.insert(test);
    }
    let reasons = by_reason.iter().map(|(reason, tests)| format!("\n    {} {reason}", tests.len()));
    format!("{} tests left out what this build lacks{}", tests.len(), reasons.collect::<String>())
}

fn folder() -> Result<PathBuf, Error> {
    Ok(root()?.join("target/skipped"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_counts_once_for_each_reason() {
        let text = "a::one\tTls: no\na::one\tTls: no\na::one\tWire: yes\nb::two\tTls: no\nnonsense\n";
        assert_eq!(
            super::summary(text),
            "2 tests left out what this build lacks\n    2 Tls: no\n    1 Wire: yes"
        );
        assert_eq!(super::summary(""), "0 tests left out what this build lacks");
    }
}
