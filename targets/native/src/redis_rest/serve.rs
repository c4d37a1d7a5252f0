//! Threads and connections: each thread accepts on a socket of its own, and shares one connection to Redis among its
//! clients.

use std::{
    cell::Cell,
    io,
    net::TcpListener as StdListener,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, mpsc},
    time::Duration,
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_local,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Bridge, Shared, answer, flags::Flags};
use crate::{
    process::Phase,
    rt::{self, Local},
    store::{AddressError, StoreClient},
};

/// Runs one thread until the process stops. `ready` hears when it accepts, or why it does not.
pub(super) fn run(
    shared: Arc<Shared>,
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<Result<(), AddressError>>,
) -> io::Result<()> {
    rt::local()?.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        let store = match StoreClient::open(&shared.store, Arc::default()) {
            Ok(store) => store,
            Err(error) => {
                let _ = ready.send(Err(error));
                return Ok(());
            }
        };
        // The first requests should not find Redis down only because they came early.
        let _ = timeout(SETTLES, store.settled()).await;
        let bridge = Rc::new(Bridge { shared, store, flags: Flags::default(), open: Cell::new(0) });
        let _ = ready.send(Ok(()));
        drop(ready);
        accept(&bridge, &listener, tls).await;
        drop(listener);
        drain(&bridge).await;
        Ok(())
    })
}

async fn accept(bridge: &Rc<Bridge>, listener: &TcpListener, tls: Option<TlsAcceptor>) {
    let mut phase = bridge.shared.phase.subscribe();
    loop {
        let next = async {
            let place = Arc::clone(&bridge.shared.places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = draining(&mut phase) => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let (open, tls) = (Open::new(bridge), tls.clone());
                spawn_local(async move {
                    let _place = place;
                    greet(&open.0, stream, tls).await;
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

async fn greet(bridge: &Rc<Bridge>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    let mut phase = bridge.shared.phase.subscribe();
    // Nothing is set up for a client that has yet to say something: ten thousand of these cost little. A look at the
    // byte itself: a socket may be called readable without one.
    let mut first_byte = [0];
    let first = tokio::select! {
        () = draining(&mut phase) => return,
        first = timeout(IDLE, stream.peek(&mut first_byte)) => first,
    };
    if !matches!(first, Ok(Ok(1))) {
        return;
    }
    match tls {
        None => Box::pin(http1(bridge, phase, stream)).await,
        Some(tls) => Box::pin(encrypted(bridge, phase, stream, tls)).await,
    }
}

async fn encrypted(bridge: &Rc<Bridge>, phase: watch::Receiver<Phase>, stream: TcpStream, tls: TlsAcceptor) {
    let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await else { return };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Box::pin(http2(bridge, phase, stream)).await,
        _ => Box::pin(http1(bridge, phase, stream)).await,
    }
}

async fn http1<IO>(bridge: &Rc<Bridge>, phase: watch::Receiver<Phase>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // Boxed: an idle connection keeps room for the future of a request, which is large.
    let service = service_fn(|request| Box::pin(answer::answer(Rc::clone(bridge), request)));
    let mut builder = http1::Builder::new();
    // The limit of time for a head counts the wait for its first byte.
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MAX_HEAD_BYTES);
    let connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    drive(phase, connection, http1::Connection::graceful_shutdown).await;
}

async fn http2<IO>(bridge: &Rc<Bridge>, phase: watch::Receiver<Phase>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| answer::answer(Rc::clone(bridge), request));
    let mut builder = http2::Builder::new(Local);
    builder.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS).keep_alive_interval(IDLE);
    let connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    drive(phase, connection, http2::Connection::graceful_shutdown).await;
}

/// Drives a connection to its end, which draining brings about.
async fn drive<C: Future<Output = Result<(), hyper::Error>>>(
    mut phase: watch::Receiver<Phase>,
    mut connection: Pin<&mut C>,
    drain: impl FnOnce(Pin<&mut C>),
) {
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining(&mut phase) => {
            drain(connection.as_mut());
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client connection ended");
    }
}

/// Waits until the process drains. What the wait itself gives would lock the phase for as long as it is held.
pub(super) async fn draining(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
}

/// Lets what is under way finish.
async fn drain(bridge: &Bridge) {
    let mut phase = bridge.shared.phase.subscribe();
    let rest = async {
        while bridge.open.get() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = rest => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
    }
}

/// Counts a connection of the thread for as long as it lives.
struct Open(Rc<Bridge>);

impl Open {
    fn new(bridge: &Rc<Bridge>) -> Self {
        bridge.open.set(bridge.open.get().saturating_add(1));
        Self(Rc::clone(bridge))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// Waits until the process has been told to stop, by a signal, and what is under way has had its time.
pub(super) fn until_stopped(phase: &watch::Sender<Phase>, grace: Duration) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), "draining");
        phase.send_replace(Phase::Draining);
        tokio::select! {
            _ = terminate.recv() => tracing::warn!("a second signal: ending now"),
            _ = interrupt.recv() => tracing::warn!("a second signal: ending now"),
            () = sleep(grace) => tracing::warn!("the grace period is over: ending now"),
        }
        phase.send_replace(Phase::Stopped);
        Ok(())
    })
}

/// Time for the first connection to Redis before clients are accepted without it.
const SETTLES: Duration = Duration::from_secs(2);

/// Between requests of a connection, and for the whole head of one.
const IDLE: Duration = Duration::from_secs(75);

/// For TLS to begin.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A request's head, its path above all.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Streams that one HTTP/2 client may have open.
const MAX_STREAMS: u32 = 200;
