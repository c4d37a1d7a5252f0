//! The Cloudflare Worker: built by worker-build, served here by the real workerd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    run::{Error, cargo, command, copy, must, output, root},
    setup,
    wasm::{self, UNKNOWN},
};

/// Builds the bundle, and says how large it is.
pub(crate) fn build() -> Result<(), Error> {
    let place = root()?.join(CRATE);
    must(builder(&["--profile", "worker"], "target/worker", &place)?)?;
    bundle(&place)
}

/// Builds the bundle with the example plugin, quickly: it is for its cases alone. Gives its folder, and the variable by which what
/// serves it takes that.
pub(crate) fn example() -> Result<(&'static str, PathBuf), Error> {
    let place = super::examples()?.join("worker");
    copy(&root()?.join(CRATE).join("entry.mjs"), &place.join("entry.mjs"))?;
    let mut build = builder(&["--profile", "e2e", "--no-opt"], "target/example", &place)?;
    build.args(super::EXAMPLE);
    must(build)?;
    Ok(("ACIP_WORKER_BUNDLE", place))
}

/// Serves it.
pub(crate) fn launcher() -> Result<Command, Error> {
    command("node", &["targets/cloudflare/dev.mjs"])
}

/// Says what its start costs.
pub(crate) fn startup() -> Result<(), Error> {
    must(command("node", &["targets/cloudflare/startup.mjs"])?)
}

/// What builds the folder `build` of a bundle, with these options. What cargo makes on the way goes into a folder of its own: another
/// compiler must not overwrite what ours has built.
fn builder(options: &[&str], folder: &str, bundle: &Path) -> Result<Command, Error> {
    setup::node()?;
    let root = root()?;
    let tools = tools()?;
    let modules = root.join("target/node/node_modules/.bin");
    let mut build = Command::new(tools.join("worker-build"));
    build.args(options).arg("--out-dir").arg(bundle.join("build")).arg(".");
    build.current_dir(root.join(CRATE)).env("CARGO_TARGET_DIR", root.join(folder));
    // Else it would download these.
    build.env("WASM_BINDGEN_BIN", tools.join("wasm-bindgen"));
    build.env("ESBUILD_BIN", modules.join("esbuild")).env("WASM_OPT_BIN", modules.join("wasm-opt"));
    if let Some(compiler) = wasm::compiler(UNKNOWN)? {
        build.env("RUSTC", compiler).env("PATH", wasm::with_linkers()?);
    }
    Ok(build)
}

/// worker-build and the wasm-bindgen of the library's version, built where they are missing: in cargo's own folder, where the
/// next clone finds them, and apart from what its user has installed.
fn tools() -> Result<PathBuf, Error> {
    let place = cargo_home()?.join("acip-gateway").join(format!("{WASM_BINDGEN}-{WORKER_BUILD}"));
    let has = |name: &str, version: &str| {
        let program = place.join("bin").join(name);
        let mut ask = Command::new(&program);
        ask.arg("--version");
        program.exists() && (version.is_empty() || output(ask).is_ok_and(|told| told.contains(version)))
    };
    if !has("wasm-bindgen", WASM_BINDGEN) || !has("worker-build", "") {
        eprintln!("xtask: building wasm-bindgen and worker-build, once; this takes some minutes");
        let (bindgen, worker_build) =
            (format!("wasm-bindgen-cli@{WASM_BINDGEN}"), format!("worker-build@{WORKER_BUILD}"));
        let mut install = cargo(&["install", "--locked", "--root"])?;
        install.arg(&place).args([&bindgen, &worker_build]);
        // They run for a moment: build them fast rather than fast-running.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
        must(install)?;
    }
    Ok(place.join("bin"))
}

fn cargo_home() -> Result<PathBuf, Error> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    named.or_else(usual).ok_or_else(|| "neither `HOME` nor `CARGO_HOME` is set; set one".to_owned())
}

/// The platform takes 1 MB gzipped on its smallest plan.
fn bundle(folder: &Path) -> Result<(), Error> {
    let mut total = 0;
    for name in ["entry.mjs", "build/index.js", "build/index_bg.wasm"] {
        let file = folder.join(name);
        let plain = fs::metadata(&file).map_err(|error| format!("no {}: {error}", file.display()))?.len();
        let mut gzip = command("gzip", &["--best", "--stdout"])?;
        gzip.arg(&file);
        let packed = gzip.output().map_err(|error| format!("cannot start gzip: {error}"))?.stdout.len();
        eprintln!("xtask: {name}: {} KiB, {} KiB gzipped", plain >> 10, packed >> 10);
        total += packed;
    }
    if total > MAX_BUNDLE_BYTES {
        return Err(format!(
            "the Worker's bundle has {total} bytes gzipped; at most {MAX_BUNDLE_BYTES} are taken"
        ));
    }
    Ok(())
}

const CRATE: &str = "targets/cloudflare";

/// As `wasm-bindgen` in the workspace's Cargo.toml.
const WASM_BINDGEN: &str = "0.2.129";
const WORKER_BUILD: &str = "0.8.7";
const MAX_BUNDLE_BYTES: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    /// local.mjs serves by the rest of that file.
    #[test]
    fn wrangler_builds_what_is_built_here() {
        let command = include_str!("../../../wrangler.toml")
            .lines()
            .find_map(|line| line.strip_prefix("command = \"")?.strip_suffix('"'))
            .expect("a build command");
        let words = command.strip_prefix("cargo xtask ").expect("a command of ours").split(' ');
        let task = crate::Task::try_parse_from(std::iter::once("xtask").chain(words));
        assert!(matches!(task, Ok(crate::Task::Worker(crate::targets::Act::Build))), "{command}");
    }
}
