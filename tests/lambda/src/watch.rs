//! `cargo lambda watch`: the emulator of the Lambda APIs, in a folder with a package for it to look at.
//!
//! What it lacks: it stands still for good when more than 100 requests wait (its queue is full, and nobody can take from it),
//! and every client has the address 127.0.0.1.

use std::{
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

/// A running emulator; it ends when dropped.
pub(crate) struct Emulator {
    child: Child,
    address: SocketAddr,
    /// It asks cargo for the package it is started in, though it builds nothing.
    _package: TempDir,
}

impl Emulator {
    /// Starts one and waits until it listens.
    pub(crate) async fn start(wanted: SocketAddr) -> Result<Self, String> {
        let package =
            package().map_err(|error| format!("cannot write a package for the emulator: {error}"))?;
        let address = free(wanted).map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
        let program = super::place("ACIP_CARGO_LAMBDA", "../venv-lambda/bin/cargo-lambda")?;
        let child = Command::new(&program)
            .args(["lambda", "watch", "--only-lambda-apis", "--disable-cors", "--quiet"])
            .args(["--invoke-address", &address.ip().to_string()])
            .args(["--invoke-port", &address.port().to_string()])
            .current_dir(package.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}; run `cargo xtask lambda build`"))?;
        let mut emulator = Self { child, address, _package: package };
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if let Ok(Some(status)) = emulator.child.try_wait() {
                return Err(format!("the emulator ended ({status}); is `cargo` on the path?"));
            }
            if began.elapsed() > PATIENCE {
                return Err("the emulator does not listen".into());
            }
            sleep(LOOK).await;
        }
        Ok(emulator)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn watch(&mut self) -> Result<(), String> {
        match self.child.wait().await {
            Ok(status) => Err(format!("the emulator ended ({status})")),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn package() -> std::io::Result<TempDir> {
    let folder = TempDir::new()?;
    let manifest = "[package]\nname = \"gateway\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest)?;
    std::fs::create_dir(folder.path().join("src"))?;
    std::fs::write(folder.path().join("src/main.rs"), "fn main() {}\n")?;
    Ok(folder)
}

/// The emulator takes no port 0.
fn free(wanted: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(wanted)?.local_addr()
}

/// For the emulator to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between looks at it.
const LOOK: Duration = Duration::from_millis(5);
