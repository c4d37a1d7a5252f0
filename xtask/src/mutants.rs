//! `cargo xtask mutants`: is the corpus worth its name? A copy of the core is given one deliberate mistake at a time, and the
//! cases are run against it in process, with the embedded store. Each mistake must make a case fail, but for those of which
//! the list says why nobody can see them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    conformance,
    run::{Error, cargo, command, output, root},
};

mod list;

/// One deliberate mistake.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// Stands exactly once in the file.
    search: &'static str,
    replacement: &'static str,
    /// Why no case can see it; none: one must.
    survives: Option<&'static str>,
}

/// Runs those whose name holds `filter`. All of them together write their table into docs/conformance.md.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Error> {
    let copy = copy()?;
    if !holds(&copy)?.is_some_and(|failed| failed.is_empty()) {
        return Err("cases fail without any mutant; run `cargo nextest run -p acip-corpus`".to_owned());
    }
    let wanted = |mutant: &&Mutant| filter.is_none_or(|filter| mutant.name.contains(filter));
    let mut wrong = Vec::new();
    let mut table = "| mistake | cases that fail, and the first of them |\n|---|---|".to_owned();
    for mutant in list::MUTANTS.iter().filter(wanted) {
        let path = copy.join(mutant.file);
        let sound = read(&path)?;
        if sound.matches(mutant.search).count() != 1 {
            wrong.push(format!("{}: its text does not stand once in {}", mutant.name, mutant.file));
            continue;
        }
        write(&path, &sound.replace(mutant.search, mutant.replacement))?;
        let failed = holds(&copy);
        write(&path, &sound)?;
        let told = match (failed?, mutant.survives) {
            (None, _) => {
                wrong.push(format!("{}: does not compile", mutant.name));
                "does not compile".to_owned()
            }
            (Some(failed), None) if failed.is_empty() => {
                wrong.push(format!("{}: no case sees it", mutant.name));
                "none".to_owned()
            }
            (Some(failed), Some(why)) if failed.is_empty() => format!("none: {why}"),
            (Some(failed), _) => {
                format!("{}; {}", failed.len(), failed.first().map_or("", String::as_str))
            }
        };
        eprintln!("xtask: {}: {told}", mutant.name);
        table.push_str(&format!("\n| {} | {told} |", mutant.name));
    }
    if filter.is_none() {
        conformance::replace("mutants", &table)?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// What the workspace tracks, in a folder of its own that keeps what it has compiled.
fn copy() -> Result<PathBuf, Error> {
    let root = root()?;
    let copy = root.join("target/mutants");
    let tracked = output(command("git", &["ls-files", "--cached", "--others", "--exclude-standard"])?)?;
    for name in tracked.lines().filter(|name| root.join(name).is_file()) {
        let (from, to) = (root.join(name), copy.join(name));
        // Only what has changed, so that only that is compiled again.
        let bytes = fs::read(&from).map_err(|error| format!("cannot read {name}: {error}"))?;
        if fs::read(&to).is_ok_and(|have| have == bytes) {
            continue;
        }
        let folder = to.parent().ok_or("no folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&to, bytes))
            .map_err(|error| format!("cannot write {}: {error}", to.display()))?;
    }
    Ok(copy)
}

/// The names of the cases that fail; none where it does not compile.
fn holds(copy: &Path) -> Result<Option<Vec<String>>, Error> {
    let mut build =
        cargo(&["build", "--quiet", "--locked", "--package", "acip-corpus", "--bin", "acip-conform"])?;
    build.current_dir(copy).env("CARGO_TARGET_DIR", copy.join("target")).env("RUSTFLAGS", "-Awarnings");
    // One line of one crate changes each time, wherever this runs.
    build.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "1").stderr(Stdio::null());
    let built = build.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !built.success() {
        return Ok(None);
    }
    let conform = copy.join("target/debug/acip-conform");
    let mut conform = command(conform.to_str().ok_or("the path is no text")?, &["embedded"])?;
    conform.current_dir(copy);
    let done = conform.output().map_err(|error| format!("cannot start acip-conform: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    let failed: Vec<String> =
        said.lines().filter_map(|line| line.strip_prefix("FAILED ")).map(str::to_owned).collect();
    if failed.is_empty() && !done.status.success() {
        // A panic is as good as a case.
        return Ok(Some(vec![said.lines().next().unwrap_or("it ended").to_owned()]));
    }
    Ok(Some(failed))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a mistake is looked for in vain only when somebody runs them all, which takes long.
    #[test]
    fn each_text_stands_once_in_its_file() {
        let root = root().expect("the repository");
        for mutant in list::MUTANTS {
            let text = read(&root.join(mutant.file)).expect("its file");
            let found = text.matches(mutant.search).count();
            assert_eq!(found, 1, "{}: search text in {}", mutant.name, mutant.file);
            assert_ne!(mutant.search, mutant.replacement, "{}", mutant.name);
        }
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        let mut names: Vec<_> = list::MUTANTS.iter().map(|mutant| mutant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), list::MUTANTS.len());
    }
}
