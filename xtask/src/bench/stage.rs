//! Starts and ends the contestants: nginx as origin and as rivals, Redis, gateways. Everything on loopback, on
//! free ports, in a folder of its own; only processes started here are ended.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A process that ends with its handle.
pub(super) struct Running {
    child: Child,
}

impl Running {
    /// Starts a program whose output goes to `log`.
    pub(super) fn start(program: &str, command: &mut Command, log: &Path) -> Result<Self, String> {
        let output =
            fs::File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.map_err(|error| format!("cannot start `{program}`: {error}"))?;
        Ok(Self { child })
    }

    /// Starts nginx with a template whose `@NAME@`s are filled in; the file gets its name.
    pub(super) fn nginx(
        folder: &Path,
        name: &str,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<Self, String> {
        let path = folder.join(name);
        fill(&path, template, values)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&path);
        Self::start("nginx", &mut command, &folder.join(format!("{name}.log")))
    }

    /// Starts a gateway of one thread, in front of the origin at that port, which accepts [`KEY`] and limits nobody.
    pub(super) fn gateway(
        binary: &Path,
        folder: &Path,
        [port, origin]: [u16; 2],
        variables: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut command = Command::new(binary);
        command.current_dir(folder).env_clear().envs([
            ("GATEWAY_HOST", "127.0.0.1".to_owned()),
            ("GATEWAY_PORT", port.to_string()),
            ("GATEWAY_THREADS", "1".to_owned()),
            ("FASTAPI_URL", format!("http://127.0.0.1:{origin}")),
            ("AUTH_API_KEYS", format!("bench:{KEY}")),
            ("RATE_LIMIT_MAX_REQUESTS", "1000000000".to_owned()),
        ]);
        command.envs(variables.iter().copied());
        Self::start("acip-gateway", &mut command, &folder.join(format!("gateway-{port}.log")))
    }

    /// Resident memory in bytes.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end only where their master is asked to, not killed.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if asked.is_ok_and(|status| status.success()) {
            let end = Instant::now() + Duration::from_secs(5);
            while Instant::now() < end {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of those that are measured against each other.
pub(super) struct Contestant {
    name: &'static str,
    port: u16,
    path: &'static str,
    rates: Vec<f64>,
}

impl Contestant {
    pub(super) fn new(name: &'static str, port: u16, path: &'static str) -> Self {
        Self { name, port, path, rates: Vec::new() }
    }

    fn spread(&self) -> (f64, f64, f64) {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        let at = |index: usize| rates.get(index).copied().unwrap_or_default();
        (at(0), at(rates.len() / 2), at(rates.len().saturating_sub(1)))
    }

    pub(super) fn median(&self) -> f64 {
        self.spread().1
    }
}

/// Measures all in turns, after a second of warm-up each.
pub(super) fn race(contestants: &mut [Contestant], seconds: u64, rounds: usize) -> Result<(), String> {
    for contestant in contestants.iter() {
        wait_for(contestant.port, contestant.name)?;
        wrk(contestant.port, contestant.path, 1)?;
    }
    for _ in 0..rounds.max(1) {
        for contestant in contestants.iter_mut() {
            contestant.rates.push(wrk(contestant.port, contestant.path, seconds)?);
        }
    }
    Ok(())
}

/// Prints what was measured.
pub(super) fn print(contestants: &[Contestant]) {
    println!("wrk, 32 keep-alive connections, one worker or thread each, medians\n");
    println!("| contestant | requests/s | min–max |\n|---|---:|---:|");
    for contestant in contestants {
        let (low, middle, high) = contestant.spread();
        println!("| {} | {middle:.0} | {low:.0}–{high:.0} |", contestant.name);
    }
}

/// Prints marks: name, measured, wanted, and whether at least that or at most.
///
/// # Errors
/// Some were missed.
pub(super) fn judge(marks: &[(&str, f64, f64, bool)]) -> Result<(), String> {
    println!("\n| mark | measured | wanted | |\n|---|---:|---:|---|");
    let mut missed = 0;
    for (name, measured, wanted, at_least) in marks {
        let met = if *at_least { measured >= wanted } else { measured <= wanted };
        missed += usize::from(!met);
        let (sign, word) = (if *at_least { "≥" } else { "≤" }, if met { "met" } else { "MISSED" });
        println!("| {name} | {measured:.2} | {sign} {wanted} | {word} |");
    }
    if missed == 0 { Ok(()) } else { Err(format!("{missed} of {} marks missed", marks.len())) }
}

/// A folder for configurations and logs, emptied first.
pub(super) fn folder(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target/bench");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

/// Ports that were free a moment ago.
pub(super) fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
        *port = listener.local_addr().map_err(|error| error.to_string())?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Waits until something listens there.
pub(super) fn wait_for(port: u16, what: &str) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("{what} does not listen on port {port}; its log is in target/bench"))
}

/// Writes a template with its `@NAME@`s filled in.
pub(super) fn fill(path: &Path, template: &str, values: &[(&str, &str)]) -> Result<(), String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// One run of wrk: requests per second.
///
/// # Errors
/// wrk is missing, or any answer was not 2xx.
pub(super) fn wrk(port: u16, path: &str, seconds: u64) -> Result<f64, String> {
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), "-H", &format!("X-API-Key: {KEY}")])
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .map_err(|error| format!("cannot start `wrk` (Debian package wrk): {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("port {port} answered with errors:\n{text}"));
    }
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    line.and_then(|rate| rate.trim().parse().ok()).ok_or_else(|| format!("wrk printed no rate:\n{text}"))
}

/// The key that every contestant accepts.
pub(super) const KEY: &str = "bench-key-0123456789abcdef";
