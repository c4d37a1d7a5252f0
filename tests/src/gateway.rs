//! The gateway under test: the built binary `acip-gateway`, or another target's build on its platform.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

use crate::{
    ADMIN, Bridge, Http, KEY, OTHER_KEY, Target, Transport, process, process::Process, root, wait_until,
};

/// A running gateway in a folder of its own, with a clean environment.
pub struct Gateway {
    process: Process,
    port: u16,
    folder: TempDir,
    /// Between it and Redis, where the run is over HTTP.
    _bridge: Option<Bridge>,
}

impl Gateway {
    /// Starts one in front of these origins, with these variables besides, and waits until it is ready.
    pub fn start(origins: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::with_file(origins, environment, None)
    }

    /// As [`Gateway::start`], with the text of a `gateway.toml`.
    pub fn with_file(origins: &[&str], environment: &[(&str, &str)], file: Option<&str>) -> Self {
        Self::launch(Target::current().launcher(), origins, environment, file, "HTTP/1.1 200")
    }

    /// As [`Gateway::with_file`], the native build that has plugins as components.
    pub fn with_components(origins: &[&str], environment: &[(&str, &str)], file: &str) -> Self {
        assert_eq!(Target::current(), Target::Native, "components are native");
        let mut launcher = Command::new(gateway_binary().with_file_name("examples/component-gateway"));
        launcher.arg("serve");
        Self::launch(launcher, origins, environment, Some(file), "HTTP/1.1 200")
    }

    /// One whose configuration is bad, on a platform that cannot refuse to start it.
    pub fn misconfigured(origins: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::launch(Target::current().launcher(), origins, environment, None, "HTTP/1.1 500")
    }

    /// Starts one and waits until its readiness page begins so.
    fn launch(
        mut command: Command,
        origins: &[&str],
        environment: &[(&str, &str)],
        file: Option<&str>,
        ready: &str,
    ) -> Self {
        let target = Target::current();
        let folder = TempDir::new().expect("a folder");
        command.current_dir(&folder).env_clear().envs([
            ("GATEWAY_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", "0"),
            ("ADMIN_TOKEN", ADMIN),
            // A shared machine pauses for longer than a store may; tests of that time set their own.
            ("REDIS_TIMEOUT", "5000"),
        ]);
        if target == Target::Native {
            command.envs([("GATEWAY_THREADS", "2"), ("LOG_FORMAT", "json")]);
        } else {
            // Launchers start programs of their own.
            command.envs(["PATH", "HOME"].map(|name| (name, std::env::var(name).unwrap_or_default())));
            // Where there is a choice of platforms, or of builds.
            command.envs(std::env::vars().filter(|(name, _)| PASSED_ON.contains(&name.as_str())));
        }
        command.env("AUTH_API_KEYS", format!("test:{KEY},other:{OTHER_KEY}"));
        if !origins.is_empty() {
            command.env("FASTAPI_URL", origins.join(","));
        }
        for (name, value) in environment {
            command.env(name, value);
        }
        let bridge = (Transport::current() == Transport::Rest).then(|| redis(environment)).flatten();
        if let Some(bridge) = &bridge {
            command.env_remove("REDIS_URL");
            command.env("UPSTASH_REDIS_REST_URL", bridge.url());
            command.env("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN);
        }
        if let Some(text) = file {
            if target == Target::Native {
                std::fs::write(folder.path().join("gateway.toml"), text).expect("writes");
                command.args(["--config", "gateway.toml"]);
            } else {
                command.env("GATEWAY_CONFIG", text);
            }
        }
        let mut process = Process::start(target.name(), &mut command);
        let port = process.find("the address", process::address);
        // One that speaks TLS is asked by its test.
        let plain = environment.iter().all(|(name, _)| *name != "TLS_CERT");
        wait_until("readiness", || {
            if !plain {
                return true;
            }
            crate::status_line(port, b"GET /gateway/readyz HTTP/1.1\r\nhost: a\r\n\r\n").starts_with(ready)
        });
        Self { process, port, folder, _bridge: bridge }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// For requests to it.
    pub fn http(&self) -> Http {
        Http::new(self.port)
    }

    /// Rewrites its file; SIGHUP makes it count.
    pub fn rewrite(&self, text: &str) {
        std::fs::write(self.folder.path().join("gateway.toml"), text).expect("writes");
    }

    /// Sends a signal by name: `TERM`, `HUP`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Waits for its end; gives the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// CPU time that it has used so far, with what serves it, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        self.process.cpu_ms()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("running");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number");
        kib * 1024
    }
}

/// Read by those that serve a build.
const PASSED_ON: [&str; 5] = [
    "ACIP_LAMBDA_EMULATOR",
    "ACIP_LAMBDA_BOOTSTRAP",
    "ACIP_SPIN_COMPONENT",
    "ACIP_SPIN_INSTANCE",
    "ACIP_WORKER_BUNDLE",
];

/// A bridge to the Redis that these variables name, if any.
fn redis(environment: &[(&str, &str)]) -> Option<Bridge> {
    let value = |wanted: &str| environment.iter().rev().find(|(name, _)| *name == wanted).map(|(_, it)| *it);
    let url = value("REDIS_URL")?;
    url.starts_with("redis://").then(|| Bridge::knowing(url, value("REDIS_PASSWORD")))
}

/// The native binary: `ACIP_GATEWAY_BIN`, or what `cargo xtask test` built.
pub fn gateway_binary() -> PathBuf {
    std::env::var_os("ACIP_GATEWAY_BIN").map_or_else(|| root().join("target/e2e/acip-gateway"), PathBuf::from)
}
