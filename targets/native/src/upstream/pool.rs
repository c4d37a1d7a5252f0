//! Connections to origins, kept open between requests. One pool per thread: nothing is locked, and a connection is
//! always used where it lives. `B` is the body of a client's request, as the platform brings it.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use acip_core::OriginFailure;
use acip_shell::{Failure, OriginRequest, Upload};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{task::AbortHandle, time::Instant};

use super::{body::OriginBody, complaints::Complaints, connect::Connector};
use crate::rt::Local;

/// What a request's body has to be.
pub trait RequestBody: Body<Data = Bytes> + Unpin + 'static {}

impl<B: Body<Data = Bytes> + Unpin + 'static> RequestBody for B {}

/// All origins of a thread.
pub struct Pool<B = Incoming> {
    complaints: Arc<Complaints>,
    origins: RefCell<Vec<Rc<Origin<B>>>>,
}

/// One origin's connections.
pub(super) struct Origin<B> {
    authority: String,
    host: HeaderValue,
    connector: Connector,
    idle: RefCell<Vec<(Lease<B>, Instant)>>,
    h2: RefCell<Option<http2::SendRequest<Upload<B>>>>,
}

/// An HTTP/1 connection in use by one request; dropping it closes the connection.
pub(super) struct Lease<B> {
    sender: http1::SendRequest<Upload<B>>,
    task: Closing,
    /// Whether this response is the last one over it.
    spent: bool,
}

/// Ends the connection's task when dropped.
struct Closing(Option<AbortHandle>);

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// A way to the origin.
struct Path<B> {
    over: Over<B>,
    /// Whether the connection stood before, and may have died since.
    reused: bool,
}

/// What a request can be sent over.
enum Over<B> {
    Http1(Lease<B>),
    Http2(http2::SendRequest<Upload<B>>),
}

impl<B: RequestBody> Pool<B> {
    /// Without connections yet; what it says of origins it says through `complaints`.
    pub fn new(complaints: Arc<Complaints>) -> Self {
        Self { complaints, origins: RefCell::default() }
    }

    /// Sends a request and waits for the response's head.
    ///
    /// A connection that turns out to be dead before the request was sent is replaced by a fresh one. One that dies after
    /// that is replaced only if the request may be repeated and its body is whole.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send(
        &self,
        uri: &Uri,
        request: OriginRequest<'_>,
        body: Upload<B>,
    ) -> Result<Response<OriginBody<B>>, Failure> {
        let unreachable = Failure { kind: OriginFailure::Unreachable, sent: false };
        let origin = self.origin(uri).ok_or(unreachable)?;
        let mut body = Some(body);
        let mut fresh = request.upgrade;
        loop {
            let Some(upload) = body.take() else { return Err(unreachable) };
            let mut again = upload.again();
            let path = origin.path(fresh, request.upgrade).await.map_err(|error| {
                self.complaints.complain(&origin.authority, "cannot connect", &error);
                unreachable
            })?;
            let Path { over, reused } = path;
            let sent = match over {
                Over::Http1(mut lease) => {
                    let message = origin.message(uri, request, upload, false);
                    let sent = lease.sender.try_send_request(message).await;
                    sent.map(|response| Rc::clone(&origin).receive(response, lease))
                }
                Over::Http2(mut sender) => {
                    let message = origin.message(uri, request, upload, true);
                    let sent = sender.try_send_request(message).await;
                    sent.map(|response| response.map(|incoming| OriginBody::new(incoming, None)))
                }
            };
            let mut error = match sent {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let unsent = error.take_message().is_some();
            if reused && again.is_whole() && (unsent || request.may_retry) {
                tracing::debug!(origin = origin.authority, "an open connection was dead");
                again.rewind();
                body = Some(again);
                fresh = true;
                continue;
            }
            self.complaints.complain(&origin.authority, "no response", error.error());
            return Err(Failure { kind: OriginFailure::Broken, sent: !unsent });
        }
    }

    /// Forgets origins that are not among these `host:port` authorities, and connections that were idle for too long.
    pub fn sweep(&self, keep: impl Fn(&str) -> bool) {
        self.origins.borrow_mut().retain(|origin| keep(&origin.authority) || Rc::strong_count(origin) > 1);
        for origin in self.origins.borrow().iter() {
            origin
                .idle
                .borrow_mut()
                .retain(|(lease, since)| !lease.sender.is_closed() && since.elapsed() < IDLE);
        }
    }

    fn origin(&self, uri: &Uri) -> Option<Rc<Origin<B>>> {
        let authority = uri.authority()?;
        let tls = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let mut origins = self.origins.borrow_mut();
        let found = origins
            .iter()
            .find(|origin| origin.connector.tls == tls && origin.authority == authority.as_str());
        if let Some(origin) = found {
            return Some(Rc::clone(origin));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let origin = Rc::new(Origin {
            authority: authority.as_str().to_owned(),
            host: HeaderValue::try_from(authority.as_str()).ok()?,
            connector: Connector { tls, host: host.to_owned(), port },
            idle: RefCell::default(),
            h2: RefCell::default(),
        });
        origins.push(Rc::clone(&origin));
        Some(origin)
    }
}

impl<B: RequestBody> Origin<B> {
    /// A way to the origin: an open connection if there is one, else a new one. For an `upgrade` it must be HTTP/1's.
    async fn path(&self, fresh: bool, upgrade: bool) -> std::io::Result<Path<B>> {
        if !fresh {
            let sender = self.h2.borrow().clone();
            if let Some(sender) = sender.filter(|sender| !sender.is_closed()) {
                return Ok(Path { over: Over::Http2(sender), reused: true });
            }
            if let Some(lease) = self.reuse() {
                return Ok(Path { over: Over::Http1(lease), reused: true });
            }
        }
        // Apart: seldom, and large beside what every request needs.
        Box::pin(self.open(upgrade)).await
    }

    /// A new connection.
    async fn open(&self, upgrade: bool) -> std::io::Result<Path<B>> {
        let transport =
            if upgrade { self.connector.connect_http1().await? } else { self.connector.connect().await? };
        if transport.is_h2() {
            let (sender, connection) = http2::Builder::new(Local)
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE)
                .handshake(TokioIo::new(transport))
                .await
                .map_err(std::io::Error::other)?;
            tokio::task::spawn_local(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to an origin ended");
                }
            });
            *self.h2.borrow_mut() = Some(sender.clone());
            return Ok(Path { over: Over::Http2(sender), reused: false });
        }
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(transport)).await.map_err(std::io::Error::other)?;
        let task = tokio::task::spawn_local(async move {
            let _ = connection.with_upgrades().await;
        });
        let lease = Lease { sender, task: Closing(Some(task.abort_handle())), spent: false };
        Ok(Path { over: Over::Http1(lease), reused: false })
    }

    /// The connection that was used last and is still alive: the others may grow old and go.
    fn reuse(&self) -> Option<Lease<B>> {
        let mut idle = self.idle.borrow_mut();
        let mut unready = None;
        while let Some((lease, since)) = idle.pop() {
            if lease.sender.is_closed() || since.elapsed() >= IDLE {
                continue;
            }
            if lease.sender.is_ready() {
                idle.extend(unready);
                return Some(lease);
            }
            // Its last response has just ended and its task has not run since.
            unready = Some((lease, since));
        }
        idle.extend(unready);
        None
    }

    pub(super) fn give_back(&self, lease: Lease<B>) {
        let mut idle = self.idle.borrow_mut();
        if !lease.spent && !lease.sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push((lease, Instant::now()));
        }
    }

    fn message(
        &self,
        uri: &Uri,
        request: OriginRequest<'_>,
        body: Upload<B>,
        absolute: bool,
    ) -> Request<Upload<B>> {
        let mut message = Request::new(body);
        *message.method_mut() = request.method.clone();
        *message.headers_mut() = request.headers.clone();
        if absolute {
            *message.uri_mut() = uri.clone();
            message.headers_mut().remove(header::HOST);
        } else {
            let mut parts = http::uri::Parts::default();
            parts.path_and_query = uri.path_and_query().cloned();
            *message.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            message.headers_mut().insert(header::HOST, self.host.clone());
        }
        message
    }

    fn receive(self: Rc<Self>, response: Response<Incoming>, mut lease: Lease<B>) -> Response<OriginBody<B>> {
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            // The task hands the transport over and ends by itself.
            lease.task.0 = None;
            return response.map(|incoming| OriginBody::new(incoming, None));
        }
        // After an exception uvicorn answers 500, writes its log, and only then closes, without having said so: a POST
        // sent meanwhile would be lost and could not be repeated.
        lease.spent = response.status() == http::StatusCode::INTERNAL_SERVER_ERROR;
        response.map(|incoming| OriginBody::new(incoming, Some((self, lease))))
    }
}

/// How long a connection may lie idle: less than uvicorn's 5 s, or it closes in the moment of reuse.
const IDLE: Duration = Duration::from_millis(4_000);

/// Idle connections kept per origin and thread.
const MAX_IDLE: usize = 128;

/// Between pings on HTTP/2 connections to origins.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
