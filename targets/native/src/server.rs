//! The server as a whole: threads, health checks, signals. Start at [`run`], or at [`Server::start`] to have it
//! inside another program.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use acip_core::{config::Document, gateway::CompileError};

use crate::{
    background, control, listener,
    process::{Phase, Process},
    recorder::{RecordError, Recorder},
    store::AddressError,
    thread,
    tls::{self, TlsError},
};

/// Reads the document anew; all that is wrong with it where it is bad.
pub type Reload = Box<dyn Fn() -> Result<Document, Vec<String>> + Send>;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The document does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The store's address.
    #[error("REDIS_URL: {0}")]
    Store(#[from] AddressError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What `TRACE_RECORD` names.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The address.
    #[error("cannot listen on `{address}`: {source}; choose another `GATEWAY_HOST` or `GATEWAY_PORT`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread or runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A running server.
pub struct Server {
    process: Arc<Process>,
    address: SocketAddr,
    grace: Duration,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// All that keeps a document from being served, though it reads well: plugins and routes, the files of TLS and of
/// recordings. Connects to nothing, makes nothing.
#[must_use]
pub fn obstacles(document: &Document) -> Vec<StartError> {
    let compiled = acip_shell::plugins::compile(document.clone()).err().map(StartError::from);
    let tls = tls::acceptor(&document.server).err().map(StartError::from);
    let record = Recorder::check(&document.log).err().map(StartError::from);
    [compiled, tls, record].into_iter().flatten().collect()
}

/// Serves until a signal ends it: SIGTERM or SIGINT drain, a second one ends now, SIGHUP reloads. `started` is told
/// where it listens.
///
/// # Errors
/// See [`StartError`].
pub fn run(document: Document, reload: Reload, started: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    let first = Arc::new(document.clone());
    let server = Server::start(document)?;
    started(server.address);
    let signals = control::Signals {
        process: Arc::clone(&server.process),
        started: first,
        reload,
        grace: server.grace,
    };
    let watcher = std::thread::Builder::new().name("signals".into()).spawn(move || signals.watch())?;
    drop(watcher);
    server.wait();
    tracing::info!("stopped");
    Ok(())
}

impl Server {
    /// Binds, then serves on threads of its own.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(document: Document) -> Result<Self, StartError> {
        let settings = document.server.clone();
        let tls = tls::acceptor(&settings)?;
        let wanted = SocketAddr::new(settings.host, settings.port);
        let count = settings
            .threads
            .and_then(|threads| NonZeroUsize::try_from(threads).ok())
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        if let Some(warning) = document.otel.warning() {
            tracing::warn!("{warning}");
        }
        let process = Arc::new(Process::new(document)?);
        let (address, listeners) =
            listener::bind(wanted, count).map_err(|source| StartError::Listen { address: wanted, source })?;
        let (ready, begun) = mpsc::channel();
        let mut threads = Vec::with_capacity(count + 1);
        for (index, listener) in listeners.into_iter().enumerate() {
            let (process, tls, ready) = (Arc::clone(&process), tls.clone(), ready.clone());
            threads.push(
                std::thread::Builder::new()
                    .name(format!("gateway-{index}"))
                    .spawn(move || thread::run(process, listener, tls, ready))?,
            );
        }
        drop(ready);
        for begun in begun {
            if let Err(error) = begun {
                process.phase.send_replace(Phase::Stopped);
                return Err(error.into());
            }
        }
        let between = Arc::clone(&process);
        threads.push(
            std::thread::Builder::new().name("background".into()).spawn(move || background::run(between))?,
        );
        tracing::info!(
            address = %address,
            threads = count,
            tls = tls.is_some(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let grace = Duration::from_millis(settings.shutdown_grace_ms);
        Ok(Self { process, address, grace, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts another document in force; the old gateway finishes what it began.
    ///
    /// # Errors
    /// All that is wrong with it; the old document stays.
    pub fn replace(&self, document: Document) -> Result<(), Vec<String>> {
        self.process.rebase(document)
    }

    /// Stops accepting and lets what is under way finish, for as long as `SHUTDOWN_GRACE_MS` says. Blocks.
    pub fn stop(self) {
        self.process.draining.store(true, Relaxed);
        self.process.phase.send_replace(Phase::Draining);
        let deadline = Instant::now() + self.grace;
        while Instant::now() < deadline && !self.threads.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process.phase.send_replace(Phase::Stopped);
        self.wait();
    }

    /// Blocks until all threads have ended.
    fn wait(self) {
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a thread failed"),
                Err(_) => tracing::error!("a thread panicked"),
            }
        }
        self.process.access.flush(FLUSH);
        if let Some(recorder) = &self.process.recorder {
            recorder.flush(FLUSH_RECORDINGS);
        }
    }
}

/// For the last access lines to be written.
const FLUSH: Duration = Duration::from_secs(1);
/// For the last recordings, each of which is decided once more.
const FLUSH_RECORDINGS: Duration = Duration::from_secs(10);
