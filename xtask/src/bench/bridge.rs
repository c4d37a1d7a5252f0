//! `bench bridge`: `acip-gateway redis-rest` against nginx `proxy_pass`, with answers of the same size, and what it holds
//! in memory for clients that are connected and say nothing.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

use super::{
    quick::build,
    stage::{self, Contestant, Running},
};
use crate::{run, setup};

pub(super) fn measure(seconds: u64, rounds: usize) -> Result<(), String> {
    setup::packages(NEEDS)?;
    let root = run::root()?;
    let binary = build(&root)?;
    let folder = stage::folder(&root)?;
    let [origin, plain, redis, bridge] = stage::free_ports()?;
    let _redis = start_redis(&folder, redis)?;
    let _nginx = start_nginx(&folder, origin, plain)?;
    let running = start_bridge(&binary, &folder, bridge, redis)?;
    let mut contestants = [
        Contestant::new("nginx, static answer (the origin itself)", origin, "/"),
        Contestant::new("nginx proxy_pass", plain, "/"),
        Contestant::new("acip-gateway redis-rest, GET key", bridge, "/get/bench?_token=bench"),
    ];
    stage::race(&mut contestants, seconds, rounds)?;
    stage::print(&contestants);
    let [_, proxied, bridged] = &contestants;
    let ratio = bridged.median() / proxied.median();

    let before = resident(&running)?;
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let socket = TcpStream::connect(("127.0.0.1", bridge));
        idle.push(socket.map_err(|error| format!("{error}; {IDLE} connections need `ulimit -n 20000`"))?);
    }
    // The last one is served: all are accepted.
    ask(idle.last_mut().ok_or("no connection")?)?;
    let silent = resident(&running)?;
    for socket in &mut idle {
        ask(socket)?;
    }
    let used = resident(&running)?;
    println!(
        "\n{IDLE} connections: resident memory {before:.0} MiB before, {silent:.0} MiB while silent, {used:.0} MiB kept alive after a request each"
    );
    stage::judge(&[
        ("GET key / nginx proxy_pass", ratio, MARK_RATIO, true),
        ("resident memory with 10,000 connections, MiB", used, MARK_RESIDENT_MIB, false),
    ])
}

/// One request, and the beginning of its answer.
fn ask(socket: &mut TcpStream) -> Result<(), String> {
    let request = b"GET /get/none?_token=bench HTTP/1.1\r\nhost: bench\r\n\r\n";
    let mut answer = [0; 512];
    let read = socket.write_all(request).and_then(|()| socket.read(&mut answer));
    let read = read.map_err(|error| format!("an idle connection broke: {error}"))?;
    let answer = answer.get(..read).unwrap_or_default();
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(answer).into_owned())
    }
}

fn resident(running: &Running) -> Result<f64, String> {
    let bytes =
        running.resident_bytes().ok_or("redis-rest ended during the run; its log is in target/bench")?;
    Ok(bytes as f64 / f64::from(1 << 20))
}

fn start_redis(folder: &Path, port: u16) -> Result<Running, String> {
    let port_text = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let running = Running::start("redis-server", command.current_dir(folder), &folder.join("redis.log"))?;
    stage::wait_for(port, "redis-server")?;
    let value = "x".repeat(VALUE_BYTES);
    run::output(run::command("redis-cli", &["-p", &port_text, "set", "bench", &value])?)?;
    Ok(running)
}

fn start_nginx(folder: &Path, origin: u16, plain: u16) -> Result<[Running; 2], String> {
    let body = format!("{{\"result\":\"{}\"}}", "x".repeat(VALUE_BYTES));
    let (place, origin, plain) = (folder.display().to_string(), origin.to_string(), plain.to_string());
    let values = [
        ("DIR", place.as_str()),
        ("BODY", body.as_str()),
        ("ORIGIN", origin.as_str()),
        ("PLAIN", plain.as_str()),
    ];
    Ok([
        Running::nginx(folder, "origin.conf", include_str!("origin.conf"), &values)?,
        Running::nginx(folder, "proxy.conf", include_str!("proxy.conf"), &values)?,
    ])
}

fn start_bridge(binary: &Path, folder: &Path, port: u16, redis: u16) -> Result<Running, String> {
    let mut command = Command::new(binary);
    command.current_dir(folder).env_clear().env("SRH_TOKEN", "bench");
    command.args(["redis-rest", "--threads", "1", "--max-connections", "20000"]);
    command.args([
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--redis",
        &format!("redis://127.0.0.1:{redis}"),
    ]);
    Running::start("acip-gateway redis-rest", &mut command, &folder.join("redis-rest.log"))
}

/// The size of the answers of all contestants, but for a few bytes.
const VALUE_BYTES: usize = 1000;

const IDLE: usize = 10_000;

const MARK_RATIO: f64 = 0.5;
const MARK_RESIDENT_MIB: f64 = 200.0;

const NEEDS: &[setup::Need] =
    &[("redis-server", "redis-server"), ("redis-cli", "redis-tools"), ("nginx", "nginx"), ("wrk", "wrk")];
