//! The engine, and the component as its machine code: made once by `precompile`, loaded at each start.

use std::path::{Path, PathBuf};

use wasmtime::{Config, Engine, component::Component};

/// The engine. Every program that loads what another one compiled must configure it in the same way.
///
/// # Errors
/// This machine cannot run it.
pub(crate) fn engine() -> Result<Engine, String> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    Engine::new(&config).map_err(|error| format!("{error:#}"))
}

/// Compiles a component and puts its machine code beside it.
///
/// # Errors
/// It does not compile, or cannot be read or written.
pub(crate) fn precompile(source: &Path) -> Result<(), String> {
    let bytes =
        std::fs::read(source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    let code = engine()?.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    // A program that is loading the old one must not see half of the new one.
    let (target, part) = (code_of(source), source.with_extension("cwasm.part"));
    std::fs::write(&part, code)
        .and_then(|()| std::fs::rename(&part, &target))
        .map_err(|error| format!("cannot write {}: {error}", target.display()))
}

/// The component, from its machine code if that is there and not older.
///
/// # Errors
/// There is none, or it does not compile.
pub(crate) fn load(engine: &Engine, source: &Path) -> Result<Component, String> {
    let code = code_of(source);
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    if let (Ok(compiled), Ok(written)) = (changed(&code), changed(source))
        && compiled >= written
        && let Ok(component) = deserialize(engine, &code)
    {
        return Ok(component);
    }
    Component::from_file(engine, source)
        .map_err(|error| format!("{}: {error:#}; build it with `cargo xtask spin build`", source.display()))
}

#[expect(
    unsafe_code,
    reason = "the file was written by `precompile` of this program; the engine checks its version"
)]
fn deserialize(engine: &Engine, code: &Path) -> Result<Component, wasmtime::Error> {
    // SAFETY: nobody but `precompile` writes files of this name, and it replaces them whole.
    unsafe { Component::deserialize_file(engine, code) }
}

fn code_of(source: &Path) -> PathBuf {
    source.with_extension("cwasm")
}
