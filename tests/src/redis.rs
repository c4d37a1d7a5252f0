//! A real redis-server.

use std::{net::TcpListener, process::Command};

use crate::{process::Process, wait_until};

/// A redis-server without persistence on a port of its own.
pub struct Redis {
    process: Option<Process>,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// As [`Redis::start`], with more arguments for the server: a file of settings first, then options.
    pub fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut redis = Self { process: None, port: 0, arguments };
        // Between our looking for a free port and the server's taking it, somebody else may.
        for _ in 0..5 {
            redis.port =
                TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("a port").port();
            if redis.try_start() {
                return redis;
            }
        }
        panic!("redis-server does not start:\n{}", redis.output());
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it was started to ask for with `--requirepass`.
    fn password(&self) -> Option<&str> {
        let place = self.arguments.iter().position(|argument| argument == "--requirepass")?;
        self.arguments.get(place + 1).map(String::as_str)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&mut self) {
        assert!(self.try_start(), "redis-server does not start again:\n{}", self.output());
    }

    /// Whether it came up; it ends at once where the port is taken.
    fn try_start(&mut self) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command
            .args(&self.arguments)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(std::env::temp_dir());
        let process = self.process.insert(Process::start("redis-server", &mut command));
        let mut ready = false;
        wait_until("redis-server", || {
            ready = process.output().contains("Ready to accept connections");
            ready || !process.is_running()
        });
        ready
    }

    fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it without closing its connections: it hangs until [`Redis::resume`].
    pub fn pause(&self) {
        self.process.as_ref().expect("running").signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.as_ref().expect("running").signal("CONT");
    }

    /// Runs one command with redis-cli; gives its raw output without the last line end.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        if let Some(password) = self.password() {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command
            .args(["-p", &self.port.to_string(), "--raw"])
            .args(arguments)
            .output()
            .expect("redis-cli starts");
        String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
    }

    /// Keys that match a glob, sorted.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let text = self.cli(&["KEYS", pattern]);
        let mut keys: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        keys.sort();
        keys
    }
}
