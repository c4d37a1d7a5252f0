//! What a Lambda process keeps between invocations: the instance, the store's connection, the origins' connections. A
//! process that was frozen may wake up to find these dead; [`Host::wake`] looks before they are used.

use std::{
    cell::{Cell, RefCell},
    io::Write as _,
    rc::Rc,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use acip_gateway::{
    entropy::Supply,
    logs,
    ports::now_ms,
    store::StoreClient,
    upstream::{Complaints, Pool},
};
use acip_shell::{Instance, Moment, Opened};
use bytes::Bytes;
use http_body_util::Full;
use tokio::{sync::Notify, time::timeout};

use crate::variables;

/// Body of a request: an event holds all of it.
pub(crate) type RequestBody = Full<Bytes>;

/// One process of the function.
pub(crate) struct Host {
    pub(crate) instance: Instance,
    /// None where no store is configured: then the instance's memory is the store.
    pub(crate) store: Option<StoreClient>,
    pub(crate) pool: Pool<RequestBody>,
    pub(crate) entropy: RefCell<Supply>,
    /// Where this runs, as AWS spells it.
    pub(crate) region: Option<String>,
    began: Instant,
    /// End of the last invocation by the wall clock: the monotonic one may stand still while the process is frozen.
    rested: Cell<SystemTime>,
    /// Whether the store's connection stood then.
    rested_up: Cell<bool>,
    /// What runs behind clients' backs.
    tasks: Cell<usize>,
    at_rest: Notify,
}

impl Host {
    /// Reads the variables, compiles, connects. What is wrong with any of it is logged, and every request refused.
    pub(crate) async fn open() -> Rc<Self> {
        let began = Instant::now();
        let (opened, store) = open(Moment { now_ms: now_ms(), mono_us: 0 }).await;
        let Opened { instance, log } = opened;
        logs::init(&instance.document().log);
        for line in log {
            say(&line);
        }
        if let Some(store) = &store {
            // The first request should not find the store down only because it came early.
            let _ = timeout(STORE_SETTLES, store.settled()).await;
        }
        Rc::new(Self {
            region: region(&instance),
            instance,
            store,
            pool: Pool::new(Arc::new(Complaints::default())),
            entropy: RefCell::default(),
            began,
            rested: Cell::new(SystemTime::now()),
            rested_up: Cell::new(true),
            tasks: Cell::new(0),
            at_rest: Notify::new(),
        })
    }

    /// Monotonic clock, microseconds.
    pub(crate) fn mono_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Before an invocation: after a pause that may have been a freeze, origins are connected to anew, and the store has
    /// to answer or is connected to anew. One that was lost before is left to its own tries.
    pub(crate) async fn wake(&self) {
        if self.rested.get().elapsed().is_ok_and(|pause| pause < FROZEN) {
            return;
        }
        self.pool.sweep(|_| false);
        if let Some(store @ (StoreClient::Tcp(_) | StoreClient::Cluster(_))) = &self.store
            && self.rested_up.get()
        {
            let limit = Duration::from_millis(self.instance.document().store.timeout_ms / CHECK_PART);
            let _ = timeout(limit.max(SHORTEST_CHECK), checked(store)).await;
        }
    }

    /// A task begins that nobody waits for but [`Host::rest`].
    pub(crate) fn task_begins(&self) {
        self.tasks.set(self.tasks.get() + 1);
    }

    /// One has ended.
    pub(crate) fn task_ends(&self) {
        self.tasks.set(self.tasks.get().saturating_sub(1));
        self.at_rest.notify_waiters();
    }

    /// After an invocation: waits for what runs behind the client's back, for after this the process may be frozen.
    pub(crate) async fn rest(&self) {
        loop {
            let ended = self.at_rest.notified();
            if self.tasks.get() == 0 {
                break;
            }
            ended.await;
        }
        self.rested.set(SystemTime::now());
        self.rested_up.set(self.store.as_ref().is_none_or(|store| store.status().up));
    }
}

async fn open(moment: Moment) -> (Opened, Option<StoreClient>) {
    let variables = match variables::read().await {
        Ok(variables) => variables,
        Err(errors) => return (Instance::refusing(TARGET, errors, moment), None),
    };
    let opened = Instance::open(TARGET, variables, moment);
    let settings = &opened.instance.document().store;
    if settings.url.is_none() {
        return (opened, None);
    }
    match StoreClient::open(settings, Arc::new(Mutex::default())) {
        Ok(store) => (opened, Some(store)),
        Err(error) => (Instance::refusing(TARGET, vec![format!("REDIS_URL: {error}")], moment), None),
    }
}

/// Where this runs, as a hint of where requests come from; not where the operator says it.
fn region(instance: &Instance) -> Option<String> {
    if instance.document().identity.region.is_some() {
        return None;
    }
    std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty())
}

/// Waits until the store answers, or its connection stands again.
async fn checked(store: &StoreClient) {
    // One that fails has seen the connection's end.
    if !store.status().up || store.command(&["PING"]).await.is_err() {
        while !store.status().up {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Writes a line to the platform's log, at once: several processes may share it.
pub(crate) fn say(line: &str) {
    // With nobody to read it there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Name of this build.
const TARGET: &str = "lambda";

/// A pause after which connections are not trusted: origins close idle ones after some seconds.
const FROZEN: Duration = Duration::from_secs(1);

/// Time for the store's connection before requests are served without it.
const STORE_SETTLES: Duration = Duration::from_secs(2);

/// Of the time that the store has for a decision, so much may be spent on the check before it: one in so many parts.
const CHECK_PART: u64 = 4;

/// Enough to connect anew within a region.
const SHORTEST_CHECK: Duration = Duration::from_millis(100);

/// Between looks at a connection in the making.
const LOOK: Duration = Duration::from_millis(2);
