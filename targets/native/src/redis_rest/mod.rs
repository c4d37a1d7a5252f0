//! `acip-gateway redis-rest`: Redis over HTTP, the way Upstash's own endpoint and SDKs speak it, in front of any Redis.
//! It holds no decision of the gateway. Start at [`run`]; a request's way is `answer`, then `ask`.

mod answer;
mod ask;
mod body;
mod events;
mod flags;
mod json;
mod path;
mod policy;
mod problem;
mod reply;
mod scripts;
mod serve;
mod tokens;

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool, mpsc},
    time::Duration,
};

use acip_core::config::{Server, StoreSettings};
use tokio::sync::{Semaphore, watch};

use crate::{listener, process::Phase, server::StartError, store::StoreClient, tls};
use body::Budget;
use flags::Flags;
pub use policy::{NotDangerous, Policy};
use scripts::Scripts;
pub use tokens::{Right, Tokens};

/// How to run it.
pub struct Settings {
    /// Where to listen, TLS, limits of bodies and connections, threads, grace: the gateway's own settings.
    pub server: Server,
    /// Redis; a URL must be set.
    pub store: StoreSettings,
    /// Who may ask.
    pub tokens: Tokens,
    /// Which dangerous commands are let through.
    pub policy: Policy,
    /// Answers past it are errors.
    pub max_reply_bytes: usize,
}

/// What all threads share.
struct Shared {
    tokens: Tokens,
    policy: Policy,
    store: StoreSettings,
    max_body_bytes: usize,
    max_reply_bytes: usize,
    scripts: Scripts,
    /// Memory for bodies of both directions.
    budget: Budget,
    /// Free places for client connections.
    places: Arc<Semaphore>,
    /// Free places for connections of one caller's own.
    apart: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    /// Whether the last request could be served; tells when to log.
    up: AtomicBool,
}

/// What one thread has for itself.
struct Bridge {
    shared: Arc<Shared>,
    store: StoreClient,
    flags: Flags,
    /// Open client connections.
    open: Cell<usize>,
}

impl Shared {
    /// `REDIS_TIMEOUT`.
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.store.timeout_ms.max(1))
    }
}

/// Serves until a signal ends it: SIGTERM or SIGINT drain, a second one ends now.
///
/// # Errors
/// See [`StartError`].
pub fn run(settings: Settings) -> Result<(), StartError> {
    let server = &settings.server;
    let acceptor = tls::acceptor(server)?;
    let wanted = SocketAddr::new(server.host, server.port);
    let count = server
        .threads
        .and_then(|threads| NonZeroUsize::try_from(threads).ok())
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let (address, listeners) =
        listener::bind(wanted, count).map_err(|source| StartError::Listen { address: wanted, source })?;
    let grace = Duration::from_millis(server.shutdown_grace_ms);
    let shared = Arc::new(shared(settings));
    let (ready, begun) = mpsc::channel();
    let mut threads = Vec::with_capacity(count);
    for (index, listener) in listeners.into_iter().enumerate() {
        let (shared, acceptor, ready) = (Arc::clone(&shared), acceptor.clone(), ready.clone());
        let thread = std::thread::Builder::new().name(format!("redis-rest-{index}"));
        threads.push(thread.spawn(move || serve::run(shared, listener, acceptor, ready))?);
    }
    drop(ready);
    for begun in begun {
        begun?;
    }
    tracing::info!(
        address = %address,
        threads = count,
        tls = acceptor.is_some(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let watched = Arc::clone(&shared);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Err(error) = serve::until_stopped(&watched.phase, grace) {
            tracing::error!(%error, "signals cannot be watched");
        }
    })?;
    for thread in threads {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => return Err(io::Error::other("a thread panicked").into()),
        }
    }
    tracing::info!("stopped");
    Ok(())
}

fn shared(settings: Settings) -> Shared {
    let Settings { server, store, tokens, policy, max_reply_bytes } = settings;
    let max_body_bytes = usize::try_from(server.max_body_bytes).unwrap_or(usize::MAX);
    Shared {
        tokens,
        policy,
        store,
        max_body_bytes,
        max_reply_bytes,
        scripts: Scripts::default(),
        // One body and one answer of the largest size must fit.
        budget: Budget::new(BODIES_BYTES.max(max_body_bytes.saturating_add(max_reply_bytes))),
        places: Arc::new(Semaphore::new((server.max_connections as usize).clamp(1, Semaphore::MAX_PERMITS))),
        apart: Arc::new(Semaphore::new(MAX_APART)),
        phase: watch::Sender::new(Phase::Serving),
        up: AtomicBool::new(true),
    }
}

/// Memory for bodies of both directions, at least.
const BODIES_BYTES: usize = 256 << 20;

/// Blocking commands and subscriptions at a time.
const MAX_APART: usize = 1000;
