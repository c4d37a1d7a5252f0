//! What all threads of the process share, and what each has for itself.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Instant,
};

use acip_core::{
    Gateway,
    config::Document,
    gateway::CompileError,
    origins::Board,
    plugins::metrics::Metrics as MetricsPlugin,
    store::{Memory, MemoryLimits},
    telemetry::{
        export::{Exporter, Outbox},
        metrics::Metrics,
    },
};
use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    access::AccessLog,
    recorder::Recorder,
    server::StartError,
    store::StoreClient,
    upstream::{Complaints, Pool},
    wire::Watch,
};

/// Shared by all threads.
pub struct Process {
    /// The gateway in force; swapped whole.
    pub live: ArcSwap<Live>,
    /// The embedded store, and what stands in for a remote one.
    pub memory: Arc<Mutex<Memory>>,
    /// Commands sent to a remote store.
    pub store_round_trips: AtomicU64,
    /// Batches that it did not answer.
    pub store_errors: AtomicU64,
    /// Whether it answered last; tells when to log.
    pub store_up: AtomicBool,
    /// Each thread's counters.
    pub metrics: Mutex<Vec<Arc<Mutex<Metrics>>>>,
    /// What has been said of origins.
    pub complaints: Arc<Complaints>,
    /// Where access records go.
    pub access: AccessLog,
    /// Spans that wait to be exported.
    pub outbox: Mutex<Outbox>,
    /// Told when a whole batch waits.
    pub batch_waits: Notify,
    /// Where recordings go, if anywhere.
    pub recorder: Option<Recorder>,
    /// Where the process is in its life.
    pub phase: watch::Sender<Phase>,
    /// Free places for connections.
    pub places: Arc<Semaphore>,
    /// Open connections.
    pub connections: AtomicUsize,
    /// Counts forwarded requests.
    pub turn: AtomicU64,
    /// Readiness is false from here on.
    pub draining: AtomicBool,
    /// When the process began.
    pub started: Instant,
}

/// A gateway and what was learned about its origins.
pub struct Live {
    /// The compiled document.
    pub gateway: Arc<Gateway>,
    /// Its origins, by their places in the document.
    pub board: Mutex<Board>,
    /// Whether requests are counted.
    pub counts: bool,
    /// Where spans go, if anywhere.
    pub exporter: Option<Arc<Exporter>>,
}

/// Life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepts and serves.
    Serving,
    /// Accepts no more, finishes what is under way.
    Draining,
    /// Ends now.
    Stopped,
}

/// What one runtime thread has for itself.
pub struct Thread {
    /// The rest of the process.
    pub process: Arc<Process>,
    /// Connections to origins.
    pub pool: Rc<Pool>,
    /// The store, as this thread reaches it.
    pub store: StoreClient,
    /// How many of its commands are in the process's count.
    pub counted_round_trips: Cell<u64>,
    /// Open client connections.
    pub watches: RefCell<BTreeMap<u64, Arc<Watch>>>,
    /// Requests and background tasks under way.
    pub busy: Cell<usize>,
    /// What this thread has counted; also in the process's list.
    pub metrics: Arc<Mutex<Metrics>>,
    /// Random bytes fetched ahead.
    pub entropy: RefCell<crate::entropy::Supply>,
}

impl Live {
    /// Compiles a document.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compile(document: Document) -> Result<Self, CompileError> {
        let board = Mutex::new(Board::new(document.origins.len()));
        let gateway = acip_shell::plugins::compile(document)?;
        let counts = gateway.plugins().any(|plugin| plugin.name() == MetricsPlugin::NAME);
        let exporter = Exporter::new(gateway.document());
        Ok(Self { gateway: Arc::new(gateway), board, counts, exporter })
    }
}

impl Process {
    /// A process that serves a document.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn new(document: Document) -> Result<Self, StartError> {
        let places = document.server.max_connections as usize;
        let memory = Memory::new(MemoryLimits {
            cache_entries: document.cache.max_entries as usize,
            cache_prefix: format!("{}cache:", document.store.key_prefix),
            ..MemoryLimits::default()
        });
        Ok(Self {
            access: AccessLog::start(&document.log)?,
            recorder: Recorder::start(&document.log)?,
            outbox: Mutex::default(),
            batch_waits: Notify::new(),
            metrics: Mutex::default(),
            complaints: Arc::default(),
            live: ArcSwap::from_pointee(Live::compile(document)?),
            memory: Arc::new(Mutex::new(memory)),
            store_round_trips: AtomicU64::new(0),
            store_errors: AtomicU64::new(0),
            store_up: AtomicBool::new(true),
            phase: watch::Sender::new(Phase::Serving),
            places: Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))),
            connections: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            started: Instant::now(),
        })
    }
}

/// Takes a lock. What it guards is whole after every call that can end early, so a panic elsewhere does not
/// spread through it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
