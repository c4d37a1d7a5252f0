//! What the driver needs from a platform. A port moves bytes and reads instruments; it takes no decision.

use std::{future::Future, rc::Rc, sync::Arc};

use acip_core::{
    Epilogue, Gateway, OriginFailure, Report, Status,
    event::Listening,
    facts::{Entropy, Hints, Peer},
    origins::Board,
    report::Subscription,
    store::{Batch, Cell},
    telemetry::span::Span,
    trace::Recording,
    verdict::Attempt,
};
use bytes::Bytes;
use futures_util::stream::LocalBoxStream;
use http::{Extensions, HeaderMap, Method, Response};
use http_body::Body;

use crate::upload::Upload;

/// A cheap handle (clones share everything) on one platform.
pub trait Ports: Clone + 'static {
    /// Body of a client's request.
    type RequestBody: Body<Data = Bytes> + Unpin + 'static;
    /// Body of an origin's response. Dropping it before its end cancels the request at the origin.
    type OriginBody: Body<Data = Bytes> + Unpin + 'static;
    /// See [`Ports::sleep`].
    type Sleep: Future<Output = ()> + Unpin;

    /// Wall clock, unix ms.
    fn now_ms(&self) -> u64;

    /// Monotonic clock, microseconds.
    fn mono_us(&self) -> u64;

    /// Fresh random bytes; none where the platform has none to give. Then nothing is made that has to be secret.
    fn entropy(&self) -> Option<Entropy>;

    /// How many turns have been taken in this process.
    fn turn(&self) -> u64;

    /// Takes a turn: a request will go to an origin.
    fn take_turn(&self);

    /// Whether WebSocket upgrades can pass.
    fn can_upgrade(&self) -> bool;

    /// Whether the process is draining.
    fn draining(&self) -> bool;

    /// See [`acip_core::Facts::fleet`]; [`Instance::fleet`](crate::Instance::fleet) on builds that keep one.
    fn fleet(&self) -> Option<&'static str> {
        None
    }

    /// Which stored changes of the configuration this build has seen, where the store is to say on requests if there
    /// are others: see [`acip_core::Facts::seen`].
    fn seen(&self) -> Option<u64> {
        None
    }

    /// Puts in force what the store says was changed since version `asked`, unless somebody else has. The request begins
    /// anew with what comes of it.
    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let _ = (asked, text);
        None
    }

    /// Whether a request that does not need the store is to ask for changes all the same, because nothing has for a second.
    fn look_is_due(&self) -> bool {
        false
    }

    /// Completes after so many milliseconds.
    fn sleep(&self, ms: u64) -> Self::Sleep;

    /// Runs a future behind the client's back; it ends by itself.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// One round trip to the store, with the store's time limit applied.
    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Cell>, StoreDown>>;

    /// Tells the store something that nobody waits for.
    fn write(&self, batch: Batch) {
        let ports = self.clone();
        self.spawn(async move {
            if ports.ask(&batch).await.is_err() {
                let _ = ports.fall_back(&batch);
            }
        });
    }

    /// The process's own bounded memory, for what operations say is kept there ([`acip_core::store::Home`]), whatever the store is.
    /// Where a process has none, it holds nothing.
    fn remember(&self, batch: &Batch) -> Vec<Cell> {
        self.fall_back(batch).unwrap_or_default()
    }

    /// The process's own bounded memory, which stands in while the store is down; none if this platform has none.
    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>>;

    /// Sends one attempt and waits for the response's head. Dropping the future cancels the request at the origin.
    /// It sets `Host` from the attempt's target; everything else is sent as it is.
    fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Self::RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::OriginBody>, Failure>>;

    /// Joins two upgraded connections until both directions have ended. The extensions are those of the client's
    /// request and of the origin's 101 response.
    fn tunnel(&self, client: Extensions, origin: Extensions) -> impl Future<Output = Tunnelled> + 'static;

    /// Lends the board of origins.
    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R;

    /// Whether every attempt is to be noted in [`acip_core::Outcome::tries`], not those of traced requests alone.
    fn notes_attempts(&self) -> bool {
        false
    }

    /// Tells the observers (metrics, logs, spans) what happened.
    fn record(&self, epilogue: &Epilogue);

    /// Takes the spans of a request that was traced; [`export::behind`](crate::export::behind) sends them.
    fn export(&self, spans: Vec<Span>) {
        let _ = spans;
    }

    /// Whether requests are to be recorded.
    fn records(&self) -> bool {
        false
    }

    /// Takes the recording of a request that this gateway has decided about.
    fn recorded(&self, gateway: Arc<Gateway>, recording: Recording) {
        let _ = (gateway, recording);
    }

    /// Hears of events from now on, as server-sent events (WHATWG HTML); by default nobody is told.
    ///
    /// # Errors
    /// Why not.
    fn listen(&self, listening: &Listening) -> Result<EventStream, Subscription> {
        let _ = listening;
        Err(Subscription::Unavailable)
    }

    /// Gathers what a page of the gateway's own needs.
    fn status(&self, report: &Report) -> impl Future<Output = Status>;
}

/// Events for one listener, framed; ends when the process does.
pub type EventStream = LocalBoxStream<'static, Bytes>;

/// Who sent a request, as far as the platform vouches for it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The connection's other end.
    pub peer: Peer,
    /// What the platform knows besides.
    pub hints: Hints,
}

/// The head of a request to an origin.
#[derive(Clone, Copy, Debug)]
pub struct OriginRequest<'a> {
    /// Method.
    pub method: &'a Method,
    /// Fields, complete but for `Host`.
    pub headers: &'a HeaderMap,
    /// Whether this asks for an upgrade of the connection.
    pub upgrade: bool,
    /// Whether it may be sent once more where an idle connection turned out to be dead.
    pub may_retry: bool,
}

/// The store did not answer in time, or answered nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store did not answer")]
pub struct StoreDown;

/// Why an attempt brought no response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: OriginFailure,
    /// Whether the origin may have seen any of the request.
    pub sent: bool,
}

/// Bytes that went through a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnelled {
    /// From the client to the origin.
    pub up: u64,
    /// From the origin to the client.
    pub down: u64,
    /// Whether both sides ended in an orderly way.
    pub clean: bool,
}

/// Shared by a request and its body; single-threaded.
pub(crate) type Shared<T> = Rc<std::cell::RefCell<T>>;
