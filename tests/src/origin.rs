//! The real FastAPI application of `tests/origin`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use http::Method;
use serde_json::Value;

use crate::{Http, process::Process, root};

/// A running uvicorn.
pub struct Origin {
    process: Process,
    port: u16,
}

impl Origin {
    /// Starts one and waits until it listens.
    pub fn start() -> Self {
        Self::with(0, &[])
    }

    /// Starts one on a port (0: a free one), with environment variables of its own.
    pub fn with(port: u16, environment: &[(&str, &str)]) -> Self {
        Self::launch(port, environment, &[])
    }

    /// Starts one that speaks TLS with this chain and key. Its own [`Origin::http`] does not reach it.
    pub fn tls(chain: &Path, key: &Path) -> Self {
        let (chain, key) = (chain.display().to_string(), key.display().to_string());
        Self::launch(0, &[], &["--cert", &chain, "--cert-key", &key])
    }

    fn launch(port: u16, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = Command::new(python());
        command
            .args(["-m", "origin", "--port", &port.to_string()])
            .args(arguments)
            .current_dir(root().join("tests"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied());
        let mut process = Process::start("the FastAPI origin", &mut command);
        let port = process.find("the address", |line| {
            line.split_once("listening on 127.0.0.1:").and_then(|(_, port)| port.trim().parse().ok())
        });
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

    /// For requests past the gateway: switches, and what a worker or operator does directly.
    pub fn http(&self) -> Http {
        Http::new(self.port)
    }

    /// Requests seen since the last reset, without those for switches.
    pub async fn seen(&self) -> Vec<Value> {
        let seen = self.http().get("/_test/seen").send().await.json();
        seen.as_array().cloned().unwrap_or_default()
    }

    /// Ends it at once, but no answer after its head: what is under way was not begun to be answered.
    pub async fn die(&mut self) {
        let dying =
            self.http().connect().await.send_request(self.http().call(Method::POST, "/_test/die").request());
        assert!(dying.await.is_err(), "it dies without an answer");
        self.process.kill();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

fn python() -> PathBuf {
    std::env::var_os("ACIP_TEST_PYTHON").map_or_else(|| root().join("target/venv/bin/python"), PathBuf::from)
}
