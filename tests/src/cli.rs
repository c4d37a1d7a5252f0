//! One run of the binary from the command line, to its end.

use std::{
    fs::File,
    io::{Read, Write as _},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
};

use tempfile::TempDir;

use crate::{Redis, gateway_binary, wait_until};

/// A command in the making: a clean environment, a folder of its own.
pub struct Cli {
    command: Command,
    folder: TempDir,
    stdin: String,
    stdout: Option<File>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Whether it succeeded and said nothing on standard error but what it changed.
    pub fn is_well(&self) -> bool {
        let is_audit = |line: &str| line.starts_with('{') && line.contains("\"audit\":{\"action\":");
        self.code == Some(0) && self.stderr.lines().all(is_audit)
    }

    /// What it said that it changed: the action and its subjects, then the names of what was changed.
    pub fn audits(&self) -> Vec<String> {
        let audit = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let audit = &line["audit"];
            Some(format!("{} {} {} {}", audit["by"], audit["action"], audit["subjects"], audit["changed"]))
        };
        self.stderr.lines().filter_map(audit).collect()
    }
}

/// A key whose record is in Redis.
pub fn create_key(redis: &Redis) -> String {
    let ended = Cli::new(&["keys", "create", "--name", "recorded"]).env(&[("REDIS_URL", &redis.url())]).run();
    let record: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    record["key"].as_str().expect("a key").to_owned()
}

impl Cli {
    /// With these arguments.
    pub fn new(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new(gateway_binary());
        command.args(arguments).env_clear().current_dir(&folder);
        Self { command, folder, stdin: String::new(), stdout: None }
    }

    /// Sets variables.
    #[must_use]
    pub fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.envs(variables.iter().copied());
        self
    }

    /// Puts a file into its folder.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("writes");
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    /// Writes its standard output to this file instead.
    #[must_use]
    pub fn stdout_to(mut self, path: &str) -> Self {
        self.stdout = Some(File::create(path).expect("opens"));
        self
    }

    /// Runs it to its end; one that does not end is ended, and the test fails.
    pub fn run(mut self) -> Ended {
        let stdout = self.stdout.map_or_else(Stdio::piped, Stdio::from);
        let piped = self.command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
        let mut running = Running(piped.spawn().expect("the binary starts; `cargo xtask test` builds it"));
        let child = &mut running.0;
        // A command that ends without reading closes the pipe.
        let _ = child.stdin.take().expect("piped").write_all(self.stdin.as_bytes());
        let stdout = child.stdout.take().map(collect);
        let stderr = collect(child.stderr.take().expect("piped"));
        let mut status = None;
        wait_until("the command's end", || {
            status = child.try_wait().expect("a child");
            status.is_some()
        });
        Ended {
            code: status.and_then(|status| status.code()),
            stdout: stdout.map(|it| it.join().expect("text")).unwrap_or_default(),
            stderr: stderr.join().expect("text"),
        }
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        text
    })
}
