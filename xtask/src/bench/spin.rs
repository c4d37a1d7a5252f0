//! `bench spin`: what a request costs in an instance of the component that lives, and in one made for it, as ratios to the native
//! server. All are built in the profile of the end-to-end tests, and asked one request at a time.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Instant,
};

use super::stage::{self, KEY, Running};
use crate::{run, setup, targets::Target, test};

pub(super) fn measure(requests: usize, rounds: usize) -> Result<(), String> {
    setup::packages(&[("nginx", "nginx")])?;
    test::gateway()?;
    Target::Spin.build()?;
    Target::Spin.host()?;
    Target::Spin.prepare()?;
    let root = run::root()?;
    let folder = stage::folder(&root)?;
    let [origin, native, reused, fresh] = stage::free_ports()?;
    let _origin = start_origin(&folder, origin)?;
    let mut serve = Command::new(root.join("target/e2e/acip-gateway"));
    serve.env_clear().arg("serve").env("GATEWAY_THREADS", "1");
    let host = || {
        let mut command = Command::new(root.join("target/e2e/acip-spin-host"));
        command.env_clear();
        command
    };
    let mut once = host();
    once.env("ACIP_SPIN_INSTANCE", "fresh");
    let _gateways = [
        start("native", &mut serve, &folder, native, origin)?,
        start("spin", &mut host(), &folder, reused, origin)?,
        start("spin-fresh", &mut once, &folder, fresh, origin)?,
    ];
    println!(
        "\none request at a time on one connection, embedded store; medians of {rounds} rounds of {requests}, in µs\n"
    );
    println!("| request | native | instance that lives | its ratio | instance per request | its ratio |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, path) in
        [("a page of its own, `/gateway/livez`", "/gateway/livez"), ("forwarded to nginx", "/bench")]
    {
        let contestants = [native, reused, fresh];
        let mut medians = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds.max(1) {
            for (port, medians) in contestants.iter().zip(&mut medians) {
                medians.push(round(*port, path, requests)?);
            }
        }
        let [native, reused, fresh] = medians.map(|mut medians| middle(&mut medians));
        println!(
            "| {name} | {native:.0} | {reused:.0} | {:.1} | {fresh:.0} | {:.1} |",
            reused / native,
            fresh / native
        );
    }
    Ok(())
}

/// Asks so many times, after a few that do not count; gives the median.
fn round(port: u16, path: &str, requests: usize) -> Result<f64, String> {
    let broke = |error: std::io::Error| format!("port {port}: {error}; its log is in target/bench");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).map_err(broke)?;
    socket.set_nodelay(true).map_err(broke)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {KEY}\r\n\r\n");
    let mut took = Vec::with_capacity(requests);
    for n in 0..requests + WARM_UP {
        let began = Instant::now();
        socket.write_all(request.as_bytes()).map_err(broke)?;
        answer(&mut socket).map_err(|error| format!("port {port}, {path}: {error}"))?;
        if n >= WARM_UP {
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(middle(&mut took))
}

/// Reads an answer with a length to its end.
fn answer(socket: &mut TcpStream) -> Result<(), String> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut piece).map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the connection was closed".into());
        }
        all.extend_from_slice(piece.get(..read).unwrap_or_default());
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if !head.starts_with("HTTP/1.1 200") {
            return Err(text.into_owned());
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length: usize = length.ok_or_else(|| format!("no length: {head}"))?;
        if body.len() >= length {
            return Ok(());
        }
    }
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn start(
    name: &str,
    command: &mut Command,
    folder: &Path,
    port: u16,
    origin: u16,
) -> Result<Running, String> {
    command.current_dir(folder).envs([
        ("GATEWAY_HOST", "127.0.0.1"),
        ("GATEWAY_PORT", &port.to_string()),
        ("FASTAPI_URL", &format!("http://127.0.0.1:{origin}")),
        ("AUTH_API_KEYS", &format!("bench:{KEY}")),
        ("RATE_LIMIT_MAX_REQUESTS", "100000000"),
        ("LOG_LEVEL", "error"),
    ]);
    let running = Running::start(name, command, &folder.join(format!("{name}.log")))?;
    stage::wait_for(port, name)?;
    Ok(running)
}

fn start_origin(folder: &Path, port: u16) -> Result<Running, String> {
    let (place, port) = (folder.display().to_string(), port.to_string());
    let path = folder.join("origin.conf");
    let values = [("DIR", place.as_str()), ("BODY", "{\"result\":\"ok\"}"), ("ORIGIN", port.as_str())];
    stage::fill(&path, include_str!("origin.conf"), &values)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&path);
    Running::start("nginx", &mut command, &folder.join("origin.log"))
}

/// Requests of a round that do not count.
const WARM_UP: usize = 20;
