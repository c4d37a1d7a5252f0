//! One runtime thread: accepts, serves, sweeps, drains.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    pin::pin,
    rc::Rc,
    sync::{Arc, mpsc},
    time::Duration,
};

use acip_core::facts::Peer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_local,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{self, Counted},
    export, logs,
    process::{Phase, Process, Thread, lock},
    rt,
    store::{AddressError, StoreClient},
    upstream::Pool,
    wire::{Command, Watch, watch::Waiting},
};

/// Runs until the process stops. Blocks. `ready` hears when it accepts, or why it does not.
///
/// # Errors
/// The runtime or the listener cannot be set up.
pub fn run(
    process: Arc<Process>,
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<Result<(), AddressError>>,
) -> std::io::Result<()> {
    rt::local()?.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        let phase = process.phase.subscribe();
        let settings = process.live.load().gateway.document().store.clone();
        let store = match StoreClient::open(&settings, Arc::clone(&process.memory)) {
            Ok(store) => store,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        // The first requests should not find the store down only because they came early.
        let _ = timeout(STORE_SETTLES, store.settled()).await;
        let metrics = Arc::default();
        let complaints = Arc::clone(&process.complaints);
        lock(&process.metrics).push(Arc::clone(&metrics));
        let thread = Rc::new(Thread {
            metrics,
            process,
            pool: Rc::new(Pool::new(complaints)),
            store,
            counted_round_trips: Cell::new(0),
            asked_ms: Cell::new(0),
            watches: RefCell::new(BTreeMap::new()),
            busy: Cell::new(0),
            entropy: RefCell::default(),
        });
        let _ = ready.send(Ok(()));
        drop(ready);
        let sweeper = spawn_local(sweep(Rc::clone(&thread)));
        let exporting = spawn_local(export::keep(Rc::clone(&thread)));
        accept(&thread, listener, tls, phase.clone()).await;
        drain(&thread, phase).await;
        exporting.abort();
        export::last(&thread).await;
        sweeper.abort();
        Ok(())
    })
}

/// Takes connections until the process drains.
async fn accept(
    thread: &Rc<Thread>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut number = 0;
    loop {
        let places = Arc::clone(&thread.process.places);
        let next = async {
            let place = places.acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                number += 1;
                let watch = Arc::new(Watch::default());
                let counted = Counted::new(thread, number, &watch);
                let (thread, tls) = (Rc::clone(thread), tls.clone());
                spawn_local(async move {
                    let _held = (counted, place);
                    greet(thread, stream, peer, tls, watch).await;
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others must end first.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn greet(
    thread: Rc<Thread>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    watch: Arc<Watch>,
) {
    let _ = stream.set_nodelay(true);
    let ip = match peer.ip() {
        IpAddr::V6(ip) => ip.to_canonical(),
        ip @ IpAddr::V4(_) => ip,
    };
    let Some(tls) = tls else {
        return connection::serve(thread, stream, Peer { ip, tls: false }, watch, false).await;
    };
    let Some(Ok(stream)) = connection::until_told(&watch, pin!(tls.accept(stream))).await else { return };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    connection::serve(thread, stream, Peer { ip, tls: true }, watch, is_h2).await;
}

/// Once a second ends what has waited for too long.
async fn sweep(thread: Rc<Thread>) {
    let mut ages: BTreeMap<u64, (u64, u32)> = BTreeMap::new();
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let watches = thread.watches.borrow();
        ages.retain(|number, _| watches.contains_key(number));
        for (number, watch) in watches.iter() {
            let (moves, age) = ages.entry(*number).or_default();
            let limit = match watch.waiting() {
                Waiting::Not => u32::MAX,
                Waiting::Idle => IDLE_S,
                Waiting::Head => HEAD_S,
                Waiting::Stuck => STUCK_S,
                Waiting::Linger => LINGER_S,
            };
            let now = watch.moves();
            *age = if *moves == now { age.saturating_add(1) } else { 0 };
            *moves = now;
            if *age >= limit {
                watch.tell(Command::Close);
            }
        }
        drop(watches);
        let live = thread.process.live.load();
        logs::follow(live.gateway.document().log.level);
        let origins = &live.gateway.document().origins;
        thread.pool.sweep(|authority| {
            let collector = live.exporter.iter().any(|to| to.authorities().any(|place| place == authority));
            collector
                || origins.iter().any(|origin| {
                    authority == origin.url.host
                        || authority == format!("{}:{}", origin.url.host, origin.url.port)
                })
        });
    }
}

/// Lets what is under way finish.
async fn drain(thread: &Thread, mut phase: watch::Receiver<Phase>) {
    for watch in thread.watches.borrow().values() {
        watch.tell(Command::Drain);
    }
    let rest = async {
        while thread.busy.get() > 0 || !thread.watches.borrow().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = rest => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
    }
}

/// Time for the store's first connection before the gateway listens without it.
const STORE_SETTLES: Duration = Duration::from_secs(2);

/// Seconds between requests of a connection.
const IDLE_S: u32 = 75;

/// Seconds for a whole head, the first one's connection set-up included.
const HEAD_S: u32 = 15;

/// Seconds that a client may take no byte.
const STUCK_S: u32 = 60;

/// Seconds to read an answer and close.
const LINGER_S: u32 = 3;
