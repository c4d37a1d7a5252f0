//! `acip-lambda-host`: the Lambda build on loopback, for `cargo xtask lambda dev` and the tests.
//!
//! It starts `cargo lambda watch`, which emulates a function URL and the runtime API, and some processes of the function beside it:
//! each takes one invocation at a time, as in Lambda, so their number is how many requests can be under way. The
//! gateway's variables come from the environment; so do `GATEWAY_HOST` and `GATEWAY_PORT` (0 takes a free one), and the
//! programs' places: `ACIP_LAMBDA_BOOTSTRAP`, `ACIP_CARGO_LAMBDA`, `ACIP_LAMBDA_PROCESSES`.
//!
//! It prints `"address":"…"` when the emulator listens, and ends with all its children on SIGTERM.

mod emulator;

use std::{
    net::SocketAddr,
    process::{ExitCode, Stdio},
};

use emulator::Emulator;
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("acip-lambda-host: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let wanted = address()?;
    let processes = number("ACIP_LAMBDA_PROCESSES", PROCESSES)?;
    let serve = async {
        let mut emulator = Emulator::start(wanted).await?;
        let mut functions = Vec::new();
        for _ in 0..processes {
            functions.push(function(&emulator)?);
        }
        // The harness reads the port from this line.
        println!("{{\"level\":\"info\",\"message\":\"listening\",\"address\":\"{}\"}}", emulator.address());
        emulator.watch(functions).await
    };
    // Children end when their handles are dropped.
    tokio::select! {
        ended = serve => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A process of the function, as Lambda would start it.
fn function(emulator: &Emulator) -> Result<Child, String> {
    let program = place("ACIP_LAMBDA_BOOTSTRAP", "bootstrap")?;
    Command::new(&program)
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/.rt", emulator.address()))
        .env("AWS_LAMBDA_FUNCTION_NAME", "_")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}; run `cargo xtask lambda build`"))
}

fn address() -> Result<SocketAddr, String> {
    let host = std::env::var("GATEWAY_HOST").unwrap_or_else(|_| "127.0.0.1".into());
    let ip =
        host.parse().map_err(|_| format!("GATEWAY_HOST=`{host}`: write an address, such as 127.0.0.1"))?;
    Ok(SocketAddr::new(ip, number("GATEWAY_PORT", 3000)?))
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, String> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text.parse().map_err(|_| format!("{name}=`{text}`: write a number")),
    }
}

/// The program that a variable names, or the one beside this program.
fn place(variable: &str, name: &str) -> Result<String, String> {
    if let Ok(path) = std::env::var(variable) {
        return Ok(path);
    }
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Ok(own.with_file_name(name).to_string_lossy().into_owned())
}

/// Processes of the function where nobody says how many.
const PROCESSES: usize = 24;
