//! `wasmtime serve`: a host of `wasi:http` 0.3 that is not ours, with the Spin component that needs nothing of Spin's own.

use std::process::Command;

use crate::{Http, process::Process, root};

/// A running one.
pub struct Wasmtime {
    process: Process,
    port: u16,
}

impl Wasmtime {
    /// Starts one whose component has these variables in its environment, and waits until it listens.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(root().join("target/venv-spin/bin/wasmtime"));
        command.args(["serve", "-Scli,p3,http", "-Wcomponent-model-async", "--addr", "127.0.0.1:0"]);
        for (name, value) in environment {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg("--allow-precompiled").arg(root().join("target/venv-spin/acip_spin.cwasm"));
        let mut process = Process::start("wasmtime serve", &mut command);
        let port = process.find("the address", |line| {
            let (_, rest) = line.split_once("http://127.0.0.1:")?;
            rest.trim_end().trim_end_matches('/').parse().ok()
        });
        Self { process, port }
    }

    /// For requests to it.
    pub fn http(&self) -> Http {
        Http::new(self.port)
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.process.output()
    }
}
