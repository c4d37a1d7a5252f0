//! One client connection: which protocol it speaks, its requests, its end.

use std::{
    convert::Infallible,
    future::{poll_fn, ready},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use acip_core::{
    ErrorCode, Refusal, RequestHead,
    facts::{Hints, Peer},
};
use acip_shell::{Body, Visitor};
use futures_util::future::Either;
use http::{Method, Request, Response, StatusCode, Uri, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    ports::NativePorts,
    process::Thread,
    rt::Local,
    wire::{
        Command, Protocol, Watch, Wire,
        head::{RESERVED_METHOD, Violation},
    },
};

/// Serves a connection until either side ends it.
pub async fn serve<IO>(thread: Rc<Thread>, io: IO, peer: Peer, watch: Arc<Watch>, is_h2: bool)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let max_head = thread.process.live.load().gateway.document().server.max_header_bytes;
    let mut wire = Wire::new(io, Arc::clone(&watch), max_head as usize);
    let protocol = if is_h2 {
        wire.pass_through();
        Protocol::Http2
    } else {
        match until_told(&watch, pin!(wire.protocol())).await {
            Some(Ok(protocol)) => protocol,
            _ => return,
        }
    };
    let service = {
        let watch = Arc::clone(&watch);
        service_fn(move |request| answer(&thread, &watch, peer, request))
    };
    let io = TokioIo::new(wire);
    match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            // Heads are limited on the wire; the parser's own limit only has to be wide enough.
            builder.max_buf_size((max_head as usize).max(64 * 1024) * 2);
            let connection = pin!(builder.serve_connection(io, service).with_upgrades());
            run(&watch, connection, http1::UpgradeableConnection::graceful_shutdown).await;
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(Local);
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                // The core refuses what is past the limit, with a body that says so; past this h2 does, without one.
                .max_header_list_size(max_head.saturating_mul(4).saturating_add(H2_SLACK))
                .keep_alive_interval(H2_PING)
                .max_pending_accept_reset_streams(MAX_RESETS);
            let connection = pin!(builder.serve_connection(io, service));
            run(&watch, connection, http2::Connection::graceful_shutdown).await;
        }
    }
}

/// Drives a connection under the sweeper's commands.
async fn run<C: Future<Output = Result<(), hyper::Error>>>(
    watch: &Watch,
    mut connection: Pin<&mut C>,
    drain: impl Fn(Pin<&mut C>),
) {
    let mut drained = false;
    let mut registered = false;
    poll_fn(|cx| {
        // The task stays the same for the connection's whole life.
        if !std::mem::replace(&mut registered, true) {
            watch.register(cx);
        }
        match watch.command() {
            Command::None => {}
            Command::Close => return Poll::Ready(()),
            Command::Drain if drained => {}
            Command::Drain => {
                drained = true;
                drain(connection.as_mut());
            }
        }
        connection.as_mut().poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a client connection ended");
            }
        })
    })
    .await;
}

/// A future that gives up when the connection is told anything.
pub async fn until_told<F: Future>(watch: &Watch, mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx: &mut Context<'_>| {
        watch.register(cx);
        if watch.command() != Command::None {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Begins at once, and so gives a small future: see [`acip_shell::serve`].
fn answer(
    thread: &Rc<Thread>,
    watch: &Arc<Watch>,
    peer: Peer,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body<NativePorts>>, Infallible>> + use<> {
    let live = thread.process.live.load_full();
    let gateway = Arc::clone(&live.gateway);
    let ports = NativePorts::new(thread, live, Some(Arc::clone(watch)));
    let visitor = Visitor { peer, hints: Hints::default() };
    if request.method().as_str().as_bytes() == RESERVED_METHOD
        && let Some(violation) = watch.violation()
    {
        let (parts, _) = request.into_parts();
        let head = RequestHead {
            method: Method::GET,
            uri: Uri::default(),
            version: parts.version,
            headers: parts.headers,
        };
        let refused = acip_shell::refuse(&ports, &gateway, visitor, Some(head), refusal(violation));
        return Either::Left(ready(Ok(refused)));
    }
    let upgrade = request.headers().contains_key(header::UPGRADE).then(|| Arc::clone(watch));
    let serving = acip_shell::serve(&ports, gateway, visitor, request);
    Either::Right(async move {
        let response = serving.await;
        if let Some(watch) = upgrade {
            watch.settle_upgrade(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        }
        Ok(response)
    })
}

fn refusal(violation: Violation) -> Refusal {
    let mut refusal = match violation {
        Violation::Malformed(reason) => Refusal::new(ErrorCode::BadRequest, "malformed", reason),
        Violation::TooLarge => Refusal::new(
            ErrorCode::HeadersTooLarge,
            "head_too_large",
            "the request's head is too large; send fewer or shorter header fields",
        ),
    };
    refusal.close = true;
    refusal
}

/// Counts a connection for as long as it lives.
pub struct Counted(Rc<Thread>, u64);

impl Counted {
    /// A connection begins; `number` is unique on its thread.
    pub fn new(thread: &Rc<Thread>, number: u64, watch: &Arc<Watch>) -> Self {
        thread.process.connections.fetch_add(1, Relaxed);
        thread.watches.borrow_mut().insert(number, Arc::clone(watch));
        Self(Rc::clone(thread), number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.process.connections.fetch_sub(1, Relaxed);
        self.0.watches.borrow_mut().remove(&self.1);
    }
}

/// Streams one HTTP/2 client may have open.
const MAX_STREAMS: u32 = 200;

/// Streams that a client may reset before they are accepted; past it the connection ends (rapid reset).
const MAX_RESETS: usize = 20;

/// Room in a list of HTTP/2 fields for what each costs besides its text (RFC 9113 §6.5.2).
const H2_SLACK: u32 = 16 * 1024;

/// Between pings that find dead HTTP/2 peers.
const H2_PING: std::time::Duration = std::time::Duration::from_secs(30);
