//! `acip-gateway redis-rest` in front of a Redis: how builds under test reach it over HTTP.

use std::process::Command;

use crate::{gateway_binary, process::Process};

/// A running bridge.
pub struct Bridge {
    _process: Process,
    port: u16,
}

impl Bridge {
    /// Starts one in front of the Redis at this URL.
    pub fn start(redis_url: &str) -> Self {
        let mut command = Command::new(gateway_binary());
        command.env_clear().args(["redis-rest", "--listen", "127.0.0.1:0", "--redis", redis_url]);
        command.env("SRH_TOKEN", Self::TOKEN).env("LOG_FORMAT", "json");
        let mut process = Process::start("acip-gateway redis-rest", &mut command);
        let port = process.find("the address", crate::process::address);
        Self { _process: process, port }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it wants to see in `Authorization`.
    pub const TOKEN: &str = "bridge-token-0123456789";
}
