//! The Spin component: built by cargo alone, as `spin build` does; here it is also made smaller, and its machine code is kept for
//! the host that serves it on loopback.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    run::{Error, cargo, command, must, output, root},
    setup,
    wasm::{self, WASIP2},
};

/// Builds the component, and says how large it is.
pub(crate) fn build() -> Result<(), Error> {
    let component = component()?;
    let bytes = fs::metadata(&component).map_err(|error| format!("no component: {error}"))?.len();
    eprintln!("xtask: the component has {} KiB", bytes >> 10);
    if bytes > MAX_BYTES {
        return Err(format!("the component has {bytes} bytes; at most {MAX_BYTES} are wanted"));
    }
    plain()
}

/// Builds what serves it here.
pub(crate) fn host() -> Result<(), Error> {
    must(cargo(&["build", "--locked", "--profile", "e2e", "--package", "acip-spin-host"])?)
}

/// Makes the component's machine code once, so that no start has to.
pub(crate) fn prepare() -> Result<(), Error> {
    let mut precompile = launcher()?;
    precompile.arg("precompile");
    must(precompile)
}

/// Builds the component with the example plugin, quickly: it is for its cases alone. Gives its place, and the variable by which the
/// host takes that.
pub(crate) fn example() -> Result<(&'static str, PathBuf), Error> {
    let place = super::examples()?;
    let mut build = cargo(&["build", "--locked", "--profile", "e2e", "--target", WASIP2])?;
    build.arg("--target-dir").arg(&place).args(["--package", "acip-spin"]).args(super::EXAMPLE);
    must(compiled(build)?)?;
    let component = place.join(WASIP2).join("e2e/acip_spin.wasm");
    let mut precompile = launcher()?;
    precompile.arg("precompile").env(OTHER_COMPONENT, &component);
    must(precompile)?;
    Ok((OTHER_COMPONENT, component))
}

/// Serves it.
pub(crate) fn launcher() -> Result<Command, Error> {
    Ok(Command::new(root()?.join("target/e2e/acip-spin-host")))
}

/// Builds the component of spin.toml; gives its path.
fn component() -> Result<PathBuf, Error> {
    setup::node()?;
    let root = root()?;
    let linker = linker(&root)?;
    let mut build = cargo(&["rustc"])?;
    build.args(DEPLOYED).args(["--crate-type", "cdylib"]);
    build.arg("--").arg(format!("-Clink-arg=--wasm-ld-path={}", linker.display()));
    build.env("WASM_OPT", root.join("target/node/node_modules/.bin/wasm-opt"));
    build.env("WASM_LD", wasm::linker()?);
    must(compiled(build)?)?;
    Ok(root.join(COMPONENT))
}

/// Builds the component that needs nothing of Spin's own, quickly: it is for the tests alone.
fn plain() -> Result<(), Error> {
    let words =
        ["build", "--locked", "--profile", "e2e", "--target", WASIP2, "--target-dir", "target/spin-plain"];
    let mut build = cargo(&words)?;
    build.args(["--package", "acip-spin", "--no-default-features"]);
    must(compiled(build)?)?;
    wasmtime()
}

/// Installs the runtime of WebAssembly that the tests start, and has it compile the plain component: no start has to.
fn wasmtime() -> Result<(), Error> {
    setup::venv("target/venv-spin", "tests/spin-host/requirements.txt", &[])?;
    // The package's own launcher starts the program beside it, which comes without leave to run.
    let place = output(command(
        "target/venv-spin/bin/python",
        &["-c", "import wasmtime_cli; print(wasmtime_cli._binary_path())"],
    )?)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("cannot let {place} run: {error}"))?;
    let root = root()?;
    let changed = |file: &str| fs::metadata(root.join(file)).and_then(|it| it.modified()).ok();
    if changed(COMPILED) > changed(PLAIN) {
        return Ok(());
    }
    let compile = ["compile", "-Wcomponent-model-async", PLAIN, "-o", COMPILED];
    must(command("target/venv-spin/bin/wasmtime", &compile)?)
}

/// With the compiler that knows the target.
fn compiled(mut build: Command) -> Result<Command, Error> {
    build.env("PATH", wasm::with_linkers()?);
    if let Some(compiler) = wasm::compiler(WASIP2)? {
        build.env("RUSTC", compiler);
    }
    Ok(build)
}

/// A linker that makes smaller what it has linked. It has to happen there: the module is put into a component right after, and
/// the optimiser reads modules alone.
fn linker(root: &Path) -> Result<PathBuf, Error> {
    let folder = root.join("target/tools");
    let script = folder.join("wasm-ld-small");
    let trouble = |error: std::io::Error| format!("cannot write {}: {error}", script.display());
    fs::create_dir_all(&folder).map_err(trouble)?;
    if fs::read_to_string(&script).is_ok_and(|have| have == SMALL) {
        return Ok(script);
    }
    fs::write(&script, SMALL).map_err(trouble)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(trouble)?;
    Ok(script)
}

/// Links, then optimises the output in place. What the component is made from are sections of the module, which stay.
const SMALL: &str = r#"#!/bin/sh
set -e
"$WASM_LD" "$@"
for word in "$@"; do
    [ "$last" = -o ] && out=$word
    last=$word
done
"$WASM_OPT" -Oz --strip-debug --strip-producers --enable-bulk-memory --enable-bulk-memory-opt \
    --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals --enable-reference-types \
    --enable-multivalue "$out" -o "$out"
"#;

/// By which the host takes another component than that of spin.toml.
const OTHER_COMPONENT: &str = "ACIP_SPIN_COMPONENT";

/// A component is fetched, and instantiated, before it answers.
const MAX_BYTES: u64 = 1_500_000;

/// As spin.toml says it: the linker is all that differs.
const DEPLOYED: &[&str] = &[
    "--locked",
    "--profile",
    "spin",
    "--target",
    WASIP2,
    "--target-dir",
    "target/spin",
    "--package",
    "acip-spin",
];
const COMPONENT: &str = "target/spin/wasm32-wasip2/spin/acip_spin.wasm";
const PLAIN: &str = "target/spin-plain/wasm32-wasip2/e2e/acip_spin.wasm";

/// Beside the program that has to take it: both are made anew together.
const COMPILED: &str = "target/venv-spin/acip_spin.cwasm";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spin_builds_what_is_built_here() {
        let manifest = include_str!("../../../spin.toml");
        for line in [
            format!("command = \"cargo build {}\"\n", DEPLOYED.join(" ")),
            format!("source = \"{COMPONENT}\"\n"),
        ] {
            assert!(manifest.contains(&line), "spin.toml lacks {line}");
        }
    }
}
