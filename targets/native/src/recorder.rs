//! `TRACE_RECORD`: every request with all that was decided about it, one line of JSON each, in a file that only its owner
//! can read. A thread of its own hides the secrets and writes; what it cannot keep up with is left out, counted and said.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
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

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be opened.
    #[error("TRACE_RECORD: cannot write to `{path}`: {source}; name a file in a folder that exists")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No thread or random bytes could be had.
    #[error("cannot record: {0}")]
    System(io::Error),
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
    /// See [`RecordError`].
    pub fn start(log: &Log) -> Result<Option<Self>, RecordError> {
        let Some(path) = &log.trace_record else { return Ok(None) };
        let file = open(path, true).map_err(|error| unwritable(path, error))?;
        let length = file.metadata().map_err(|error| unwritable(path, error))?.len();
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| RecordError::System(io::Error::other(error)))?;
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
        thread::Builder::new()
            .name("recorder".into())
            .spawn(move || writer.run(&queue))
            .map_err(RecordError::System)?;
        Ok(Some(Self { entries, dropped }))
    }

    /// Whether there is, or can be, such a file. It is not made: it would belong to whoever asks, not to the server.
    ///
    /// # Errors
    /// [`RecordError::File`].
    pub fn check(log: &Log) -> Result<(), RecordError> {
        let Some(path) = &log.trace_record else { return Ok(()) };
        let found = match open(path, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder(path).read_dir().map(drop),
            found => found.map(drop),
        };
        found.map_err(|error| unwritable(path, error))
    }

    /// Queues a request.
    pub fn write(&self, gateway: Arc<Gateway>, recording: Recording) {
        if self.entries.try_send(Entry::Request(Box::new((gateway, recording)))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until what was queued is written, but no longer than `limit`. Blocks.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let (done, written) = sync_channel(1);
        let mut entry = Entry::Flush(done);
        // A disk that hangs leaves the queue full, and an end that waits for it would never come.
        while let Err(TrySendError::Full(returned)) = self.entries.try_send(entry) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(FULL);
            entry = returned;
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn unwritable(path: &str, source: io::Error) -> RecordError {
    RecordError::File { path: path.to_owned(), source }
}

/// Where the file is or will be.
fn folder(path: &str) -> &Path {
    match Path::new(path).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn open(path: &str, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(create);
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

/// Between two looks at a queue that is full.
const FULL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// As where the disk hangs: the writer takes nothing.
    #[test]
    fn waiting_for_a_writer_that_hangs_has_an_end() {
        let (entries, _queue) = sync_channel(1);
        let recorder = Recorder { entries, dropped: Arc::default() };
        // The first finds a place in the queue and waits for the writer, the second waits for a place.
        for _ in 0..2 {
            recorder.flush(Duration::from_millis(20));
        }
    }
}
