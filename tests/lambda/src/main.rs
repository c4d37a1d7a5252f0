//! `acip-lambda-host`: the Lambda build on loopback, for `cargo xtask lambda dev` and the tests.
//!
//! It stands in for Lambda: clients reach a function URL, and some processes of the function ask the runtime API for their
//! events. Each takes one at a time, so their number is how many requests can be under way. With
//! `ACIP_LAMBDA_EMULATOR=watch` both APIs are those of `cargo lambda watch` instead (see [`watch`] for what it lacks).
//!
//! The gateway's variables come from the environment; so do `GATEWAY_HOST` and `GATEWAY_PORT` (0 takes a free one), and
//! `ACIP_LAMBDA_BOOTSTRAP`, `ACIP_CARGO_LAMBDA` (places of programs), `ACIP_LAMBDA_PROCESSES`, `ACIP_LAMBDA_FREEZE`.
//!
//! It prints `"address":"…"` when it listens, and ends with all its children on SIGTERM.

mod answer;
mod front;
mod function;
mod queue;
mod runtime;
mod watch;

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use function::Function;
use queue::Queue;
use runtime::Runtime;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use watch::Emulator;

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
    let has_store = STORES.iter().any(|name| std::env::var_os(name).is_some());
    let processes = number("ACIP_LAMBDA_PROCESSES", if has_store { PROCESSES } else { 1 })?;
    let serve = async {
        match std::env::var("ACIP_LAMBDA_EMULATOR").as_deref() {
            Err(_) | Ok("own") => own(wanted, processes).await,
            Ok("watch") => watched(wanted, processes).await,
            Ok(other) => Err(format!("ACIP_LAMBDA_EMULATOR=`{other}`: write own or watch")),
        }
    };
    // Children end when their handles are dropped.
    tokio::select! {
        ended = serve => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Serves by what this crate has.
async fn own(wanted: SocketAddr, processes: usize) -> Result<(), String> {
    let listen = async |address: SocketAddr| {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        Ok::<_, String>((listener, address))
    };
    let (clients, address) = listen(wanted).await?;
    let (functions, api) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let queue = Arc::<Queue>::default();
    let runtime = Arc::new(Runtime {
        queue: Arc::clone(&queue),
        freezes: std::env::var_os("ACIP_LAMBDA_FREEZE").is_some(),
        processes: Mutex::default(),
    });
    let mut running = Vec::new();
    for number in 0..processes {
        let function = Function::start(&format!("http://{api}/{number}"))?;
        if let Some(id) = function.id() {
            let mut ids = runtime.processes.lock().unwrap_or_else(PoisonError::into_inner);
            ids.insert(number.to_string(), id);
        }
        running.push(function);
    }
    told(address);
    tokio::select! {
        ended = front::serve(clients, queue) => ended,
        ended = runtime.serve(functions) => ended,
        ended = function::watch(running) => ended,
    }
}

/// Serves by `cargo lambda watch`.
async fn watched(wanted: SocketAddr, processes: usize) -> Result<(), String> {
    let mut emulator = Emulator::start(wanted).await?;
    let api = format!("http://{}/.rt", emulator.address());
    let running = (0..processes).map(|_| Function::start(&api)).collect::<Result<Vec<_>, _>>()?;
    told(emulator.address());
    tokio::select! {
        ended = emulator.watch() => ended,
        ended = function::watch(running) => ended,
    }
}

/// The harness reads the port from this line.
fn told(address: SocketAddr) {
    println!("{{\"level\":\"info\",\"message\":\"listening\",\"address\":\"{address}\"}}");
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

/// The program that a variable names, or the one at this place, seen from this program.
fn place(variable: &str, name: &str) -> Result<String, String> {
    if let Ok(path) = std::env::var(variable) {
        return Ok(path);
    }
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Ok(own.with_file_name(name).to_string_lossy().into_owned())
}

/// Processes of the function where nobody says how many. Without a store, there is one: each has a memory of its own.
const PROCESSES: usize = 24;

/// Variables that name a store.
const STORES: &[&str] = &["REDIS_URL", "UPSTASH_REDIS_REST_URL"];
