//! A real PostgreSQL.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{process::Process, wait_until};

/// A server with an empty database, on a port of its own; it ends with its handle.
pub struct Postgres {
    process: Option<Process>,
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes a database and starts its server.
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        if is_root() {
            // The server refuses to be root's.
            let owned = Command::new("chown").args(["-R", USER]).arg(folder.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "a folder for the user `{USER}`");
        }
        let mut postgres = Self { process: None, folder, port: 0 };
        let data = postgres.folder.path().join("data");
        let made = postgres
            .program("initdb")
            .args([
                "--username",
                "acip",
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
            ])
            .arg(&data)
            .output();
        succeeded("initdb", &made.expect("initdb starts; `cargo xtask test` installs it"));
        // Between our looking for a free port and the server's taking it, somebody else may.
        for _ in 0..5 {
            postgres.port =
                TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("a port").port();
            if postgres.try_start() {
                return postgres;
            }
        }
        panic!("postgres does not start:\n{}", postgres.output());
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://acip@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements; gives the rows as psql prints them, bare.
    pub fn run(&self, sql: &str) -> String {
        let output = self
            .program("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql])
            .output()
            .expect("psql starts");
        succeeded("psql", &output);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn try_start(&mut self) -> bool {
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "unix_socket_directories="]);
        let process = self.process.insert(Process::start("postgres", &mut command));
        let mut ready = false;
        wait_until("postgres", || {
            ready = process.output().contains("ready to accept connections");
            ready || !process.is_running()
        });
        ready
    }

    fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    fn program(&self, name: &str) -> Command {
        let path = installed(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", GROUP, "--clear-groups", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.env("LC_ALL", "C").current_dir(self.folder.path());
        command
    }
}

/// Debian keeps the programs of each version apart, and most of them outside the path.
fn installed(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    programs.retain(|program| program.exists());
    programs.sort();
    programs.pop().unwrap_or_else(|| name.into())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id starts");
    output.stdout.trim_ascii() == b"0"
}

fn succeeded(what: &str, output: &Output) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// In whose name a server runs where the tests are root's.
const USER: &str = "nobody";
const GROUP: &str = "nogroup";
