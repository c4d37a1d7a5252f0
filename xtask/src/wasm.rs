//! Compilers for wasm, and the core as wasm: built for `wasm32-unknown-unknown`, it imports nothing. Where rustup cannot add a
//! target, Debian's compiler and library sources make it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    run::{Error, cargo, command, must, output, root, succeeds},
    setup,
};

/// Builds and checks.
pub(crate) fn check() -> Result<(), Error> {
    let compiler = compiler(UNKNOWN)?;
    let mut build =
        cargo(&["build", "--locked", "--release", "--target", UNKNOWN, "--package", "acip-wasm", "--lib"])?;
    // A folder of its own: another compiler must not overwrite what ours has built.
    build.args(["--target-dir", "target/wasm"]).env("CARGO_PROFILE_RELEASE_LTO", "off");
    if let Some(compiler) = &compiler {
        build.env("RUSTC", compiler);
        build.env("PATH", with_linkers()?);
    }
    must(build)?;
    let file = module()?;
    let module = fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    match imports(&module) {
        Some(0) => {
            eprintln!("xtask: the core's wasm imports nothing ({} KiB)", module.len() / 1024);
            Ok(())
        }
        Some(count) => Err(format!("the core's wasm imports {count} functions; it must not reach outside")),
        None => Err(format!("{} is no wasm module", file.display())),
    }
}

/// Builds the program that replays recordings as a component of WASI 0.2, and says where it is.
pub(crate) fn replayer() -> Result<PathBuf, Error> {
    let compiler = compiler(WASIP2)?;
    let words = ["build", "--locked", "--release", "--target", WASIP2, "--package", "acip-wasm"];
    let mut build = cargo(&words)?;
    build.args(["--bin", "acip-replay", "--target-dir", "target/wasm"]);
    build.env("CARGO_PROFILE_RELEASE_LTO", "off");
    if let Some(compiler) = compiler {
        build.env("RUSTC", compiler);
        build.env("PATH", with_linkers()?);
    }
    must(build)?;
    Ok(root()?.join("target/wasm").join(WASIP2).join("release/acip-replay.wasm"))
}

/// Builds the example of a plugin as a component, and the one that tests want.
pub(crate) fn guests() -> Result<(), Error> {
    guest("examples/component-plugin/Cargo.toml")?;
    guest("targets/components/tests/guest/Cargo.toml")
}

fn guest(manifest: &str) -> Result<(), Error> {
    let mut build =
        cargo(&["build", "--locked", "--release", "--target", WASIP2, "--manifest-path", manifest])?;
    build.args(["--target-dir", "target/wasm"]);
    if let Some(compiler) = compiler(WASIP2)? {
        build.env("RUSTC", compiler).env("PATH", with_linkers()?);
        build.env("CARGO_PROFILE_RELEASE_LTO", "off");
    }
    must(build)
}

/// Where the module is once it is built.
pub(crate) fn module() -> Result<PathBuf, Error> {
    Ok(root()?.join("target/wasm").join(UNKNOWN).join("release/acip_wasm.wasm"))
}

/// The compiler that knows the target: rustup's (none), or Debian's, which is given the target's library if it lacks it.
pub(crate) fn compiler(target: &str) -> Result<Option<&'static str>, Error> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let has_library = |rustc: &str| -> Result<bool, Error> {
        let folder = output(command(rustc, &["--print", "target-libdir", "--target", target])?)?;
        Ok(has_std(Path::new(&folder)))
    };
    if has_library(&rustc)?
        || (succeeds(command("rustup", &["target", "add", target])?) && has_library(&rustc)?)
    {
        return Ok(None);
    }
    if !Path::new(DEBIAN).exists() || !Path::new("/usr/src/rustc-web").exists() && !has_library(DEBIAN)? {
        setup::install(&["rustc-web", "rust-web-src", "lld-19"])?;
    }
    if !has_library(DEBIAN)? {
        eprintln!("xtask: building Rust's standard library for {target}, once; this takes a minute");
        build_std(target)?;
    }
    Ok(Some(DEBIAN))
}

fn has_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// Builds std once, with an empty crate, and puts it where the compiler looks.
fn build_std(target: &str) -> Result<(), Error> {
    let folder = root()?.join("target/wasm-std");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        let parent = path.parent().ok_or("no folder")?;
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)).map_err(|error| error.to_string())
    };
    write("Cargo.toml", EMPTY)?;
    write("src/lib.rs", "")?;
    let mut flags = "-Cembed-bitcode=yes".to_owned();
    if target == WASIP2 {
        setup::install(&["wasi-libc"])?;
        flags.push_str(" -L/usr/lib/wasm32-wasi -Clink-self-contained=no");
    }
    let mut build = cargo(&["build", "--release", "--target", target, "-Zbuild-std=std,panic_abort"])?;
    build
        .current_dir(&folder)
        .env("RUSTC", DEBIAN)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", flags)
        .env("PATH", with_linkers()?);
    must(build)?;
    let library = output(command(DEBIAN, &["--print", "target-libdir", "--target", target])?)?;
    let library = Path::new(&library);
    let built = folder.join("target").join(target).join("release/deps");
    let entries =
        fs::read_dir(&built).map_err(|error| format!("cannot read {}: {error}", built.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") {
            put(&entry.path(), &library.join(&name))?;
        }
    }
    if target == WASIP2 {
        for name in ["libc.a", "crt1-command.o", "crt1-reactor.o"] {
            put(&Path::new("/usr/lib/wasm32-wasi").join(name), &library.join("self-contained").join(name))?;
        }
    }
    Ok(())
}

fn put(from: &Path, to: &Path) -> Result<(), Error> {
    let folder = to.parent().ok_or("no folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(from, to))
        .map(drop)
        .map_err(|error| format!("cannot write {}: {error}; run as root", to.display()))
}

/// Where rustup's toolchain keeps its linkers.
fn linkers() -> Result<String, Error> {
    let sysroot = output(command("rustc", &["--print", "sysroot"])?)?;
    let host = output(command("rustc", &["--print", "host-tuple"])?)?;
    Ok(format!("{sysroot}/lib/rustlib/{host}/bin"))
}

/// The linker of modules; one of another age on the path would link what it does not understand.
pub(crate) fn linker() -> Result<String, Error> {
    Ok(format!("{}/gcc-ld/wasm-ld", linkers()?))
}

/// The path with the linkers that come with rustup's toolchain.
pub(crate) fn with_linkers() -> Result<String, Error> {
    let tools = linkers()?;
    Ok(format!("{}:{tools}:{tools}/gcc-ld", std::env::var("PATH").unwrap_or_default()))
}

/// How many imports a module has (WebAssembly core specification §5.5.5); none where it is malformed.
fn imports(module: &[u8]) -> Option<u32> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = leb128(after)?;
        let (section, after) = after.split_at_checked(usize::try_from(size).ok()?)?;
        if *id == IMPORT_SECTION {
            return leb128(section).map(|(count, _)| count);
        }
        rest = after;
    }
    Some(0)
}

fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f).checked_shl(u32::try_from(index).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

/// Modules that import what their host gives them.
pub(crate) const UNKNOWN: &str = "wasm32-unknown-unknown";

/// Components on WASI 0.2 and later.
pub(crate) const WASIP2: &str = "wasm32-wasip2";

/// Debian's second compiler, built for its browser packages, in step with the library sources.
const DEBIAN: &str = "/usr/bin/rustc";
const IMPORT_SECTION: u8 = 2;
const EMPTY: &str = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
                     [profile.release]\npanic = \"abort\"\n\n[workspace]\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_counted() {
        let cases: [(&[u8], Option<u32>); 5] = [
            (b"\0asm\x01\0\0\0", Some(0)),
            (b"\0asm\x01\0\0\0\x01\x01\x00", Some(0)),
            (b"\0asm\x01\0\0\0\x01\x01\x00\x02\x02\x03\x00", Some(3)),
            (b"\0asm\x01\0\0\0\x02\x09", None),
            (b"no module", None),
        ];
        for (module, expected) in cases {
            assert_eq!(imports(module), expected);
        }
    }
}
