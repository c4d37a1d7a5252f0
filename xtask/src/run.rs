//! Running other programs, with errors that say what to do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What went wrong, for a person.
pub(crate) type Error = String;

/// The repository's root.
pub(crate) fn root() -> Result<PathBuf, Error> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().map_err(|error| format!("cannot find the repository: {error}"))
}

/// A command in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<Command, Error> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()?);
    Ok(command)
}

/// Cargo, as this was started by, without what it told about xtask: build scripts that look at it would run again
/// with each change between `cargo` and `cargo xtask`.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command, Error> {
    let mut command = command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), arguments)?;
    for (name, _) in std::env::vars_os() {
        let about_xtask = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
                .iter()
                .any(|it| name.starts_with(it))
        });
        if about_xtask {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// A run of the workspace's tests, in the profile of the end-to-end tests.
pub(crate) fn nextest(arguments: &[&str]) -> Result<Command, Error> {
    tool("cargo-nextest", NEXTEST)?;
    // Much of the time tests wait: for sockets, for windows of limits, for what is stored to grow stale.
    let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let mut run = cargo(&["nextest", "run", "--locked", "--workspace", "--cargo-profile", "e2e"])?;
    run.args(["--no-fail-fast", "--test-threads", &threads.to_string()]).args(arguments);
    Ok(run)
}

/// Installs one of cargo's own tools where it is missing.
pub(crate) fn tool(name: &str, version: &str) -> Result<(), Error> {
    if succeeds(command(name, &["--version"])?) {
        return Ok(());
    }
    // Into cargo's own folder, where the next clone finds it.
    let mut install = cargo(&["install", "--locked", name, "--version", version])?;
    // It does little itself: build it fast rather than fast-running.
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    must(install)
}

/// Runs a command that must succeed; its output goes where ours goes.
pub(crate) fn must(mut command: Command) -> Result<(), Error> {
    let shown = shown(&command);
    eprintln!("xtask: {shown}");
    let status = command.status().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

/// Whether a command runs and succeeds; its output is dropped.
pub(crate) fn succeeds(mut command: Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What a command prints, trimmed.
pub(crate) fn output(mut command: Command) -> Result<String, Error> {
    let shown = shown(&command);
    let output = command.output().map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Copies a file into a folder that may not be there yet.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let folder = to.parent().ok_or("no folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .map(drop)
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

const NEXTEST: &str = "0.9.143";

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
