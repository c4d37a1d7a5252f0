//! `acip-gateway redis-rest` in front of a Redis: how builds under test reach it over HTTP.

use std::process::Command;

use crate::{Http, gateway_binary, process::Process};

/// A running bridge.
pub struct Bridge {
    process: Process,
    port: u16,
}

impl Bridge {
    /// Starts one in front of the Redis at this URL.
    pub fn start(redis_url: &str) -> Self {
        Self::with(redis_url, &[])
    }

    /// As [`Bridge::start`], with more arguments.
    pub fn with(redis_url: &str, arguments: &[&str]) -> Self {
        Self::launch(redis_url, arguments, None)
    }

    /// As [`Bridge::start`], for a Redis that may ask for a password.
    pub(crate) fn knowing(redis_url: &str, password: Option<&str>) -> Self {
        // The gateway's own patience counts.
        Self::launch(redis_url, &["--timeout", "20000"], password)
    }

    fn launch(redis_url: &str, arguments: &[&str], password: Option<&str>) -> Self {
        let mut command = Command::new(gateway_binary());
        command.env_clear().args(["redis-rest", "--listen", "127.0.0.1:0", "--redis", redis_url]);
        command.args(arguments).envs(password.map(|password| ("REDIS_PASSWORD", password)));
        command.env("SRH_TOKEN", Self::TOKEN).env("LOG_FORMAT", "json");
        let mut process = Process::start("acip-gateway redis-rest", &mut command);
        let port = process.find("the address", crate::process::address);
        Self { process, port }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For requests to it.
    pub fn http(&self) -> Http {
        Http::new(self.port)
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Sends a signal by name: `TERM`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Waits for its end; gives the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// What it wants to see in `Authorization`.
    pub const TOKEN: &str = "bridge-token-0123456789";
}
