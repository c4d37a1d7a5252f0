//! The access log: one line per request on standard output, written by a thread of its own. A reader that is slow or
//! gone costs lines, never time: the queue is bounded, and what does not fit is counted and said.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use acip_core::{
    config::{Document, Log, LogFormat},
    outcome::AccessRecord,
    telemetry::access,
};

/// The writer's end of the queue; shared by all threads.
pub struct AccessLog {
    entries: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
    pretty: bool,
}

/// What the writer is told.
enum Entry {
    Line(String),
    /// Answers once all before it is written.
    Flush(SyncSender<()>),
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
        let (entries, queue) = sync_channel(MAX_QUEUED);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        thread::Builder::new().name("access-log".into()).spawn(move || write(&queue, &counter))?;
        Ok(Self { entries, dropped, pretty })
    }

    /// Queues a request's line.
    pub fn write(&self, record: &AccessRecord, document: &Document) {
        let mut line = if self.pretty {
            access::pretty_line(record, document)
        } else {
            access::json_line(record, document)
        };
        line.push('\n');
        if self.entries.try_send(Entry::Line(line)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until what was queued is written, but no longer than `limit`: the reader may be gone. Blocks.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        if self.entries.try_send(Entry::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }
}

/// Writes until the process ends. Lines that wait are written together.
fn write(queue: &Receiver<Entry>, dropped: &AtomicU64) {
    let mut batch = String::new();
    while let Ok(first) = queue.recv() {
        let mut flushed = None;
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => batch.push_str(&line),
                Entry::Flush(done) => {
                    flushed = Some(done);
                    break;
                }
            }
            next = if batch.len() > MAX_BATCH_BYTES { None } else { queue.try_recv().ok() };
        }
        // Nobody to read it is no reason to end.
        let _ = io::stdout().lock().write_all(batch.as_bytes());
        batch.clear();
        if let Some(done) = flushed {
            let _ = done.try_send(());
        }
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "access records were dropped: standard output is read too slowly");
        }
    }
}

/// At most a few megabytes of lines.
const MAX_QUEUED: usize = 8_192;

const MAX_BATCH_BYTES: usize = 64 << 10;
