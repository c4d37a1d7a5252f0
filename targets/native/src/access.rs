//! The access log: one line per request on standard output, written by a thread of its own. A reader that is slow or
//! gone costs lines, never time: what waits is bounded, and what does not fit is counted and said.
//!
//! The writer is woken once for many lines: it lets them gather for a few milliseconds, and writes them in one piece.

use std::{
    io::{self, IsTerminal as _, Write as _},
    mem,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use acip_core::{
    config::{Document, Log, LogFormat},
    outcome::AccessRecord,
    telemetry::access,
};

use crate::process::lock;

/// Where lines wait for the writer; shared by all threads.
pub struct AccessLog {
    shared: Arc<Shared>,
    pretty: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or somebody who waits for it.
    told: Condvar,
    /// Something was written.
    done: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: String,
    dropped: u64,
    /// Somebody waits until all is written.
    hurry: bool,
    /// The writer has lines in its hands.
    writing: bool,
}

impl AccessLog {
    /// Starts the writer, which waits where the level leaves access records out: it may change.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(log: &Log) -> io::Result<Self> {
        let pretty = match log.format {
            Some(format) => format == LogFormat::Pretty,
            None => io::stdout().is_terminal(),
        };
        let shared = Arc::new(Shared::default());
        let of_writer = Arc::clone(&shared);
        thread::Builder::new().name("access-log".into()).spawn(move || of_writer.write())?;
        Ok(Self { shared, pretty })
    }

    /// Leaves a request's line for the writer.
    pub fn write(&self, record: &AccessRecord, document: &Document) {
        let line = if self.pretty {
            access::pretty_line(record, document)
        } else {
            access::json_line(record, document)
        };
        let mut waiting = lock(&self.shared.waiting);
        if waiting.lines.len() + line.len() >= MAX_WAITING_BYTES {
            waiting.dropped += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.push_str(&line);
        waiting.lines.push('\n');
        drop(waiting);
        if first {
            self.shared.told.notify_one();
        }
    }

    /// Waits until what was left is written, but no longer than `limit`: the reader may be gone. Blocks.
    pub fn flush(&self, limit: Duration) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.hurry = true;
        self.shared.told.notify_one();
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let _ = self.shared.done.wait_timeout_while(waiting, limit, unwritten);
    }
}

impl Shared {
    /// Writes until the process ends.
    fn write(&self) {
        let mut batch = String::new();
        loop {
            let waiting = lock(&self.waiting);
            let waiting = self.told.wait_while(waiting, |waiting| waiting.lines.is_empty() && !waiting.hurry);
            let Ok(waiting) = waiting else { return };
            let gathered = self.told.wait_timeout_while(waiting, GATHER, |waiting| !waiting.hurry);
            let Ok((mut waiting, _)) = gathered else { return };
            mem::swap(&mut batch, &mut waiting.lines);
            let lost = mem::take(&mut waiting.dropped);
            (waiting.hurry, waiting.writing) = (false, true);
            drop(waiting);
            // Nobody to read it is no reason to end.
            let _ = io::stdout().lock().write_all(batch.as_bytes());
            batch.clear();
            lock(&self.waiting).writing = false;
            self.done.notify_all();
            if lost > 0 {
                tracing::warn!(lost, "access records were dropped: standard output is read too slowly");
            }
        }
    }
}

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// Some ten thousand lines; as much again is in the writer's hands.
const MAX_WAITING_BYTES: usize = 4 << 20;
