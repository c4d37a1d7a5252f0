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
    control::{Followed, is_news, same_origins, takes_over, version_of},
    event::Event,
    gateway::CompileError,
    origins::Board,
    plugin::Failures,
    plugins::metrics::Metrics as MetricsPlugin,
    store::{Memory, MemoryLimits},
    telemetry::{
        Attempts,
        export::{Exporter, Outbox},
        metrics::Metrics,
    },
};
use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    access::AccessLog,
    events::Events,
    ports::now_ms,
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
    /// Held while the gateway in force is exchanged.
    changing: Mutex<()>,
    /// The embedded store, what stands in for a remote one, and the cache that this process keeps for itself.
    pub memory: Arc<Mutex<Memory>>,
    /// Commands sent to a remote store.
    pub store_round_trips: AtomicU64,
    /// Batches that it did not answer.
    pub store_errors: AtomicU64,
    /// Whether it answered last; tells when to log.
    pub store_up: AtomicBool,
    /// Each thread's counters.
    pub metrics: Mutex<Vec<Arc<Mutex<Counters>>>>,
    /// Which plugins failed lately.
    pub failures: Mutex<Failures>,
    /// What has been said of origins.
    pub complaints: Arc<Complaints>,
    /// Where access records go.
    pub access: AccessLog,
    /// Spans that wait to be exported.
    pub outbox: Mutex<Outbox>,
    /// Told when a whole batch waits.
    pub batch_waits: Notify,
    /// Who hears of what happens.
    pub events: Arc<Events>,
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
    /// Its origins, by their places in the document. Shared with the gateways before it that had the same.
    pub board: Arc<Mutex<Board>>,
    /// Whether requests are counted.
    pub counts: bool,
    /// Where spans go, if anywhere.
    pub exporter: Option<Arc<Exporter>>,
    /// Which stored changes of the configuration were seen; a bad one counts, too.
    pub seen: u64,
    /// Those changes, as the store has them.
    changes: Arc<[u8]>,
    /// The last that were put in force: the same, unless those are bad.
    good: Arc<[u8]>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests, and all that happened in them.
    pub requests: Metrics,
    /// Attempts on origins.
    pub attempts: Attempts,
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
    /// When the store was asked last, unix ms; noted where it is reached over HTTP, which nothing else looks after.
    pub asked_ms: Cell<u64>,
    /// Open client connections.
    pub watches: RefCell<BTreeMap<u64, Arc<Watch>>>,
    /// Requests and background tasks under way.
    pub busy: Cell<usize>,
    /// What this thread has counted; also in the process's list.
    pub metrics: Arc<Mutex<Counters>>,
    /// Random bytes fetched ahead.
    pub entropy: RefCell<crate::entropy::Supply>,
}

impl Live {
    /// Compiles a document.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compile(document: Document) -> Result<Self, CompileError> {
        let board = Arc::new(Mutex::new(Board::new(document.origins.len())));
        let gateway = Arc::new(acip_shell::plugins::compile(document)?);
        let exporter = Exporter::new(gateway.document());
        let (changes, good) = (Arc::default(), Arc::default());
        Ok(Self { counts: counts(&gateway), gateway, board, exporter, seen: 0, changes, good })
    }

    /// This one with another gateway. What is known of origins stays with them.
    fn with(&self, gateway: Arc<Gateway>, changes: Arc<[u8]>, good: Arc<[u8]>) -> Self {
        let board = if same_origins(&self.gateway, &gateway) {
            Arc::clone(&self.board)
        } else {
            Arc::new(Mutex::new(Followed::board(&self.gateway, &lock(&self.board), &gateway)))
        };
        let exporter = Exporter::new(gateway.document());
        let seen = version_of(&changes);
        Self { counts: counts(&gateway), gateway, board, exporter, seen, changes, good }
    }
}

fn counts(gateway: &Gateway) -> bool {
    gateway.plugins().any(|plugin| plugin.name() == MetricsPlugin::NAME)
}

impl Process {
    /// Puts what the store says was changed since version `asked` in force, unless somebody else has done so or more. What is bad
    /// is told to the operator, and the old gateway stays.
    pub fn follow(&self, asked: u64, text: &[u8]) -> Arc<Live> {
        let _alone = lock(&self.changing);
        let live = self.live.load_full();
        if !is_news(live.seen, asked, text) {
            return live;
        }
        let followed = Followed::new(&live.gateway, text);
        self.say(&followed, &live);
        let changes: Arc<[u8]> = text.into();
        let good = Arc::clone(if followed.errors.is_empty() { &changes } else { &live.good });
        self.put(&live, live.with(followed.gateway, changes, good))
    }

    /// Puts a gateway in the place of another.
    fn put(&self, before: &Live, next: Live) -> Arc<Live> {
        if let Some(batch) = takes_over(&before.gateway, &next.gateway, now_ms()) {
            let _ = lock(&self.memory).apply(&batch);
        }
        let next = Arc::new(next);
        self.live.store(Arc::clone(&next));
        next
    }

    fn say(&self, followed: &Followed, live: &Live) {
        let (_, message) = followed.message();
        if followed.errors.is_empty() {
            tracing::info!(
                version = followed.version(),
                by = followed.by,
                changed = followed.paths.join(", "),
                "{message}"
            );
        } else {
            tracing::error!(version = followed.version(), error = followed.detail(), "{message}");
        }
        if let Some(event) = followed.event() {
            self.note(&event, now_ms());
            self.tell(live, &event);
        }
    }

    /// Tells of something that belongs to no request: counters, and whoever listens.
    pub fn tell(&self, live: &Live, event: &Event) {
        if live.counts
            && let Some(counters) = lock(&self.metrics).first()
        {
            lock(counters).requests.note(event);
        }
        self.events.tell_one(event, live.gateway.document());
    }

    /// Notes a plugin that failed, if this tells of one.
    pub fn note(&self, event: &Event, at_ms: u64) {
        // Nearly all events tell of something else, and all threads are here.
        if matches!(event, Event::PluginError { .. }) {
            lock(&self.failures).note(event, at_ms);
        }
    }

    /// Puts another document of file and environment in force, with the stored changes laid over it: the newest, or where
    /// those are bad and the operator has been told so, the ones that were in force until now.
    ///
    /// # Errors
    /// All that is wrong with it, or with it under what was in force; the old gateway stays.
    pub fn rebase(&self, document: Document) -> Result<(), Vec<String>> {
        let _alone = lock(&self.changing);
        let live = self.live.load_full();
        let base = acip_shell::plugins::compile(document).map_err(|error| vec![error.to_string()])?;
        let base = Arc::new(base);
        let newest = Followed::new(&base, &live.changes);
        let is_good = newest.errors.is_empty();
        let (gateway, good) = if is_good {
            (Arc::clone(&newest.gateway), Arc::clone(&live.changes))
        } else {
            // Where none were ever in force this is file and environment alone.
            (Arc::new(base.follow(&live.good)?), Arc::clone(&live.good))
        };
        if !is_good || gateway.version() != live.gateway.version() {
            self.say(&newest, &live);
        }
        let _ = self.put(&live, live.with(gateway, Arc::clone(&live.changes), good));
        Ok(())
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
            events: Arc::default(),
            batch_waits: Notify::new(),
            metrics: Mutex::default(),
            failures: Mutex::default(),
            complaints: Arc::default(),
            live: ArcSwap::from_pointee(Live::compile(document)?),
            changing: Mutex::new(()),
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
