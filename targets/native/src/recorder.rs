//! `TRACE_RECORD`: every request with all that was decided about it, one line of JSON each, in a file that only its owner
//! can read. A thread of its own hides the secrets and writes; what it cannot keep up with is left out, counted and said.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use acip_core::{
    Gateway,
    config::Log,
    trace::{Concealed, Pseudonyms, Recording},
};

/// The writer's end of the queue; shared by all threads.
pub struct Recorder {
    entries: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// What the writer is told.
enum Entry {
    Request(Box<(Arc<Gateway>, Recording)>),
    /// Answers once all before it is written.
    Flush(SyncSender<()>),
}

impl Recorder {
    /// Opens the file and starts the writer; none where nothing is to be recorded.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread or random bytes could be had.
    pub fn start(log: &Log) -> io::Result<Option<Self>> {
        let Some(path) = &log.trace_record else { return Ok(None) };
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("TRACE_RECORD `{path}`: {error}"));
        let file = open(path).map_err(named)?;
        let length = file.metadata().map_err(named)?.len();
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| named(io::Error::other(error.to_string())))?;
        let (entries, queue) = sync_channel(MAX_QUEUED);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            file,
            left: log.trace_max_bytes.saturating_sub(length),
            pseudonyms: Pseudonyms::new(key),
            concealed: None,
            dropped: Arc::clone(&dropped),
            over: false,
        };
        thread::Builder::new().name("recorder".into()).spawn(move || writer.run(&queue))?;
        Ok(Some(Self { entries, dropped }))
    }

    /// Queues a request.
    pub fn write(&self, gateway: Arc<Gateway>, recording: Recording) {
        if self.entries.try_send(Entry::Request(Box::new((gateway, recording)))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until what was queued is written, but no longer than `limit`. Blocks.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        if self.entries.send(Entry::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }
}

fn open(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

struct Writer {
    file: File,
    /// Bytes until the file is full.
    left: u64,
    pseudonyms: Pseudonyms,
    /// The gateway that recorded last.
    concealed: Option<(Arc<Gateway>, Concealed)>,
    dropped: Arc<AtomicU64>,
    over: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Entry>) {
        while let Ok(entry) = queue.recv() {
            match entry {
                Entry::Request(request) if !self.over => {
                    let (gateway, recording) = *request;
                    if let Err(error) = self.request(&gateway, recording) {
                        self.over = true;
                        tracing::error!(%error, "recording has ended");
                    }
                }
                Entry::Request(_) => {}
                Entry::Flush(done) => {
                    let _ = done.try_send(());
                }
            }
            let lost = self.dropped.swap(0, Relaxed);
            if lost > 0 && !self.over {
                tracing::warn!(lost, "requests were not recorded: they come faster than they can be written");
            }
        }
    }

    fn request(&mut self, gateway: &Arc<Gateway>, recording: Recording) -> io::Result<()> {
        let mut text = String::new();
        if !matches!(&self.concealed, Some((known, _)) if Arc::ptr_eq(known, gateway)) {
            let concealed = Concealed::new(gateway, self.pseudonyms.clone()).map_err(io::Error::other)?;
            text = concealed.document().write();
            text.push('\n');
            self.concealed = Some((Arc::clone(gateway), concealed));
        }
        let Some((_, concealed)) = &self.concealed else { return Ok(()) };
        text.push_str(&concealed.conceal(recording).write());
        text.push('\n');
        let bytes = text.len() as u64;
        if bytes > self.left {
            return Err(io::Error::other("the file has reached TRACE_MAX_BYTES"));
        }
        self.left -= bytes;
        self.file.write_all(text.as_bytes())
    }
}

/// A recording may hold a cached body or two: some hundred megabytes at the very worst.
const MAX_QUEUED: usize = 512;
