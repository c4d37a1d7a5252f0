//! The client of an endpoint that speaks Redis over HTTP: Upstash's, or `acip-gateway redis-rest`. Connections are kept
//! and reused; while the endpoint does not serve, calls fail at once and a probe finds out when it does again.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use acip_core::{
    config::{OriginUrl, Secret},
    report::StoreStatus,
    store::{Batch, Cell as StoreCell, Reply, StoreError, rest},
};
use acip_shell::store::{Fetch, MAX_REPLY_BYTES, RestStore};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    address::{AddressError, Place},
    link::{FIRST_PAUSE, LONGEST_PAUSE, jittered},
    stream,
};
use crate::trust::client_config;

/// One endpoint, over connections of this thread.
pub struct RestClient {
    store: Rc<RestStore<Endpoint>>,
    keeper: JoinHandle<()>,
}

/// Where the endpoint is, and how it fares.
struct Endpoint {
    place: Place,
    tls: Option<TlsConnector>,
    host: HeaderValue,
    /// The URL's path, without a slash at its end.
    path: String,
    limit: Duration,
    idle: RefCell<Vec<(Sender, Instant)>>,
    /// One place for each request under way.
    places: Semaphore,
    up: Cell<bool>,
    down: Notify,
    heard: Cell<Option<Instant>>,
    latency: Cell<Option<Duration>>,
    error: RefCell<String>,
    round_trips: Cell<u64>,
    attempts: watch::Sender<u64>,
}

type Sender = http1::SendRequest<Full<Bytes>>;

impl RestClient {
    /// Begins to connect, in the background. Call it within a `LocalRuntime`.
    pub(super) fn open(
        url: &OriginUrl,
        token: Option<&Secret>,
        limit: Duration,
    ) -> Result<Self, AddressError> {
        let token = token
            .ok_or_else(|| malformed("a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`"))?;
        let endpoint = Endpoint::new(url, limit)?;
        let store = RestStore::new(endpoint, token).map_err(|error| malformed(&error.to_string()))?;
        let store = Rc::new(store);
        let keeper = tokio::task::spawn_local(keep(Rc::clone(&store)));
        Ok(Self { store, keeper })
    }

    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        self.store.ask(batch).await
    }

    pub(super) async fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> Result<Reply, StoreError> {
        self.store.command(words).await
    }

    pub(super) async fn commands<T: AsRef<[u8]>>(
        &self,
        commands: &[impl AsRef<[T]>],
    ) -> Result<Vec<Reply>, StoreError> {
        self.store.commands(commands).await
    }

    pub(super) async fn settled(&self) {
        let _ = self.store.fetch().attempts.subscribe().wait_for(|attempts| *attempts > 0).await;
    }

    pub(super) fn status(&self) -> StoreStatus {
        let endpoint = self.store.fetch();
        let up = endpoint.up.get();
        let latency = endpoint.latency.get();
        StoreStatus {
            mode: "rest",
            up,
            latency_us: latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
            error: (!up).then(|| endpoint.error.borrow().clone()),
        }
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.store.fetch().round_trips.get()
    }
}

impl Drop for RestClient {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Asks an endpoint that does not serve whether it does again, with pauses in between.
async fn keep(store: Rc<RestStore<Endpoint>>) {
    let endpoint = store.fetch();
    let mut pause = FIRST_PAUSE;
    loop {
        let headers = HeaderMap::clone(store.headers());
        let Ok(body) = rest::encode(&["PING"]) else { return };
        let asked = endpoint.exchange(rest::COMMAND, &headers, body.into());
        let answer = timeout(PROBE, asked).await.unwrap_or(Err(StoreError::Timeout));
        match answer.and_then(|(status, body)| rest::decode(status, &body)) {
            Ok(_) => {
                pause = FIRST_PAUSE;
                endpoint.up.set(true);
                endpoint.attempts.send_modify(|attempts| *attempts += 1);
                if endpoint.until_lost_or_silent().await {
                    continue;
                }
            }
            Err(error) => {
                endpoint.lost(&error);
                endpoint.attempts.send_modify(|attempts| *attempts += 1);
            }
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Endpoint {
    fn new(url: &OriginUrl, limit: Duration) -> Result<Self, AddressError> {
        let host = url.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            place: Place::Tcp { host, port: url.port, tls: url.tls },
            tls: if url.tls { Some(client_config(&[])?.into()) } else { None },
            host: HeaderValue::try_from(url.authority()).map_err(|_| malformed("it names no host"))?,
            path: url.prefix.clone(),
            limit,
            idle: RefCell::default(),
            places: Semaphore::new(MAX_OPEN),
            up: Cell::new(false),
            down: Notify::new(),
            heard: Cell::new(None),
            latency: Cell::new(None),
            error: RefCell::new("not connected yet".into()),
            round_trips: Cell::new(0),
            attempts: watch::Sender::new(0),
        })
    }

    /// One request, without a limit of time.
    async fn exchange(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(u16, Bytes), StoreError> {
        let down = |error: &dyn std::error::Error| StoreError::Down(error.to_string());
        let mut message = Request::new(Full::new(body));
        *message.method_mut() = Method::POST;
        let target = format!("{}{path}", self.path);
        let target = if target.is_empty() { "/" } else { target.as_str() };
        *message.uri_mut() = target.parse().map_err(|error: http::uri::InvalidUri| down(&error))?;
        *message.headers_mut() = headers.clone();
        message.headers_mut().insert(header::HOST, self.host.clone());
        let _place = self.places.acquire().await.map_err(|error| down(&error))?;
        let mut idle = self.reuse();
        loop {
            let (mut sender, is_fresh) = match idle.take() {
                Some(sender) => (sender, false),
                None => (self.connect().await?, true),
            };
            // Its last answer may have ended just now, before its task has run; or the endpoint has closed it.
            if sender.ready().await.is_err() && !is_fresh {
                idle = self.reuse();
                continue;
            }
            match sender.try_send_request(message).await {
                Ok(response) => return self.receive(response, sender).await,
                Err(mut error) => match error.take_message() {
                    // The connection had been closed while it lay idle: nothing was sent.
                    Some(unsent) if !is_fresh => message = unsent,
                    _ => return Err(down(error.error())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Sender, StoreError> {
        let down = |error: String| StoreError::Down(error);
        let stream =
            stream::connect(&self.place, self.tls.as_ref()).await.map_err(|error| down(error.to_string()))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| down(error.to_string()))?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the store ended");
            }
        });
        Ok(sender)
    }

    async fn receive(
        &self,
        response: Response<Incoming>,
        sender: Sender,
    ) -> Result<(u16, Bytes), StoreError> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_REPLY_BYTES).collect().await;
        let body =
            body.map_err(|error| StoreError::Down(format!("the answer broke off: {error}")))?.to_bytes();
        self.heard.set(Some(Instant::now()));
        let mut idle = self.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push((sender, Instant::now()));
        }
        Ok((status, body))
    }

    /// The connection that was used last: the others may grow old and go.
    fn reuse(&self) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        while let Some((sender, since)) = idle.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    /// Waits until the endpoint is lost, or (true) nobody has asked it for so long that it may be lost unnoticed.
    async fn until_lost_or_silent(&self) -> bool {
        while self.up.get() {
            let silent_at = self.heard.get().unwrap_or_else(Instant::now) + SILENCE;
            if Instant::now() >= silent_at {
                return true;
            }
            let _ = timeout_at(silent_at, self.down.notified()).await;
        }
        false
    }

    fn lost(&self, error: &StoreError) {
        self.up.set(false);
        *self.error.borrow_mut() = error.to_string();
        self.idle.borrow_mut().clear();
        self.down.notify_one();
    }
}

impl Fetch for Endpoint {
    async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> {
        if !self.up.get() {
            return Err(StoreError::Down(self.error.borrow().clone()));
        }
        self.round_trips.set(self.round_trips.get().saturating_add(1));
        let sent = Instant::now();
        let answer = timeout_at(sent + self.limit, self.exchange(path, headers, body.into())).await;
        let answer = answer.unwrap_or(Err(StoreError::Timeout));
        match &answer {
            Ok((200..=499, _)) => self.latency.set(Some(sent.elapsed())),
            Ok((status, _)) => {
                self.lost(&StoreError::Down(format!("the REST endpoint answered {status}")));
            }
            // One slow answer among others is no outage.
            Err(StoreError::Timeout) if self.heard.get().is_some_and(|heard| heard >= sent) => {}
            Err(error) => self.lost(error),
        }
        answer
    }
}

fn malformed(what: &str) -> AddressError {
    AddressError::Malformed(what.into())
}

/// For the whole of a probe: nobody waits for it.
const PROBE: Duration = Duration::from_secs(2);

/// Without a question, before the endpoint is asked whether it is still there. Each thread asks, and hosted endpoints have a
/// price per command.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a connection may lie idle: less than the endpoints and the proxies before them allow.
const IDLE: Duration = Duration::from_secs(20);

/// Connections in use at a time per thread; more requests wait for one, within their time limit.
const MAX_OPEN: usize = 128;

/// Idle connections kept per thread.
const MAX_IDLE: usize = 64;
