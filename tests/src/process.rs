//! A child process: its output collected, its end with its handle.

use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::wait_until;

/// A running program.
pub(crate) struct Process {
    child: Child,
    name: String,
    output: Arc<Mutex<String>>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        // A group of its own, so that a launcher's children end with it.
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {name} ({command:?}): {error}; run `cargo xtask test`")
            });
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), &output);
        collect(child.stderr.take().expect("piped"), &output);
        Self { child, name: name.into(), output }
    }

    /// Everything it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line of output gives something.
    pub(crate) fn find<T>(&mut self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let mut found = None;
        let name = self.name.clone();
        wait_until(&format!("{what} of {name}"), || {
            let output = self.output();
            found = output.lines().find_map(&mut find);
            assert!(found.is_some() || self.is_running(), "{name} ended early:\n{output}");
            found.is_some()
        });
        found.expect("just found")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time that it and what it started have used so far, in milliseconds (proc(5): fields 5, 14 and 15 of `stat`). What a child
    /// used that has ended is not in it.
    pub(crate) fn cpu_ms(&self) -> u64 {
        let used = |path: PathBuf| {
            let stat = std::fs::read_to_string(path.join("stat")).ok()?;
            let (_, fields) = stat.rsplit_once(") ")?;
            let fields: Vec<_> = fields.split(' ').collect();
            let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
            (number(5)? == u64::from(self.child.id())).then(|| number(14).zip(number(15)))?
        };
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let ticks: u64 = processes.filter_map(|it| used(it.path())).map(|(user, system)| user + system).sum();
        ticks * 1000 / TICKS_PER_SECOND
    }

    /// Sends a signal by name: `TERM`, `HUP`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot signal {}", self.name);
    }

    /// Waits for its end; gives the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_until(&format!("the end of {}", self.name.clone()), || !self.is_running());
        self.child.wait().ok().and_then(|status| status.code())
    }

    pub(crate) fn kill(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- output of {}:\n{}", self.name, self.output());
        }
    }
}

/// The port in a line that says `"address":"127.0.0.1:PORT"`.
pub(crate) fn address(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("\"address\":\"127.0.0.1:")?;
    rest.split('"').next()?.parse().ok()
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

/// What Linux counts CPU time in, on every machine that it is built for.
const TICKS_PER_SECOND: u64 = 100;
