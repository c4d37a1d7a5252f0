//! Ports of a world that a case describes: [`World`] is what one request after the other meets.

use std::{
    cell::{Cell as Slot, RefCell},
    collections::{BTreeSet, VecDeque},
    future::pending,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use acip_core::{
    Epilogue, Gateway, OriginFailure, Report, Status,
    control::{Followed, takes_over},
    facts::Entropy,
    origins::Board,
    plugin::Failures,
    report::StoreStatus,
    store::{Batch, Cell, Memory},
    verdict::Attempt,
};
use acip_shell::{Failure, OriginRequest, Ports, StoreDown, Tunnelled, Upload};
use bytes::Bytes;
use http::{Extensions, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::Store;
use crate::{
    case::{Fails, Says, Step, StoreIs},
    moment::START_MS,
    run::Asked,
};

/// The ports.
#[derive(Clone)]
pub(super) struct CasePorts(pub(super) Rc<World>);

/// All that lasts from step to step, and what the step under way has met so far.
pub(super) struct World {
    now_us: Slot<u64>,
    /// Never goes back, other than the wall clock.
    mono_us: Slot<u64>,
    requests: Slot<u64>,
    turn: Slot<u64>,
    draw: Slot<u64>,
    draining: Slot<bool>,
    can_upgrade: Slot<bool>,
    store_is: Slot<StoreIs>,
    store: Rc<RefCell<dyn Store>>,
    fallback: RefCell<Memory>,
    names: Vec<String>,
    pub(super) board: RefCell<Board>,
    script: RefCell<VecDeque<Says>>,
    pub(super) tasks: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    timers: RefCell<BTreeSet<(u64, u64)>>,
    /// The timer that was set last: when an attempt begins, the driver's own for it.
    slept_ms: Slot<u64>,
    next_timer: Slot<u64>,
    pub(super) asked: RefCell<Vec<Batch>>,
    pub(super) epilogues: RefCell<Vec<Epilogue>>,
    failures: RefCell<Failures>,
    pub(super) sent: RefCell<Vec<Sent>>,
    /// In force, and the stored changes that were seen.
    pub(super) gateway: RefCell<Arc<Gateway>>,
    seen: Slot<u64>,
}

/// One attempt.
pub(super) struct Sent {
    pub(super) asked: Asked,
    pub(super) timeout_ms: Option<u64>,
}

impl World {
    pub(super) fn new(gateway: Arc<Gateway>, store: Rc<RefCell<dyn Store>>) -> Self {
        let document = gateway.document();
        Self {
            now_us: Slot::new(START_MS * 1000),
            mono_us: Slot::new(1_000_000),
            requests: Slot::new(0),
            turn: Slot::new(0),
            draw: Slot::new(0),
            draining: Slot::new(false),
            can_upgrade: Slot::new(true),
            store_is: Slot::new(StoreIs::Up),
            store,
            fallback: RefCell::default(),
            names: document.origins.iter().map(|origin| origin.name.clone()).collect(),
            board: RefCell::new(Board::new(document.origins.len())),
            script: RefCell::default(),
            tasks: RefCell::default(),
            timers: RefCell::default(),
            slept_ms: Slot::new(0),
            next_timer: Slot::new(0),
            asked: RefCell::default(),
            epilogues: RefCell::default(),
            failures: RefCell::default(),
            sent: RefCell::default(),
            seen: Slot::new(0),
            gateway: RefCell::new(gateway),
        }
    }

    /// Sets the scene for a step.
    pub(super) fn prepare(&self, step: &Step) {
        if let Some(at) = step.at {
            self.now_us.set(at.moment_ms() * 1000);
        }
        if let Some(turn) = step.turn {
            self.turn.set(turn);
        }
        self.requests.set(self.requests.get() + 1);
        self.draw.set(step.draw);
        self.draining.set(step.draining);
        self.can_upgrade.set(step.can_upgrade);
        self.store_is.set(step.store);
        *self.script.borrow_mut() = step.origin.clone().into();
        self.asked.borrow_mut().clear();
        self.epilogues.borrow_mut().clear();
        self.sent.borrow_mut().clear();
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_us.get() / 1000
    }

    fn advance_us(&self, us: u64) {
        self.now_us.set(self.now_us.get() + us);
        self.mono_us.set(self.mono_us.get() + us);
    }

    /// Moves time to the next timer.
    pub(super) fn wait(&self) -> Result<(), String> {
        let next = self.timers.borrow().first().copied();
        let (at, _) = next.ok_or("waits for something that never comes")?;
        self.advance_us(at.saturating_sub(self.mono_us.get()));
        Ok(())
    }
}

/// Goes off when time has moved far enough.
pub(super) struct Timer {
    world: Rc<World>,
    entry: (u64, u64),
}

impl Timer {
    fn new(world: &Rc<World>, ms: u64) -> Self {
        let id = world.next_timer.get();
        world.next_timer.set(id + 1);
        let entry = (world.mono_us.get() + ms * 1000, id);
        world.timers.borrow_mut().insert(entry);
        Self { world: Rc::clone(world), entry }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.world.timers.borrow_mut().remove(&self.entry);
    }
}

impl Future for Timer {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.world.mono_us.get() >= self.entry.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A body in one piece, at whose end it may break.
pub(super) struct Whole {
    chunk: Option<Bytes>,
    breaks: bool,
    /// Whether its length is known before it is read.
    sized: bool,
}

impl Whole {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { chunk: Some(bytes).filter(|bytes| !bytes.is_empty()), breaks: false, sized: true }
    }

    pub(super) fn chunked(bytes: Bytes) -> Self {
        Self { sized: false, ..Self::new(bytes) }
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(chunk) = self.chunk.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        Poll::Ready(if std::mem::take(&mut self.breaks) { Some(Err("broken")) } else { None })
    }

    fn is_end_stream(&self) -> bool {
        self.chunk.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        if self.breaks || !self.sized {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.chunk.as_ref().map_or(0, |chunk| chunk.len() as u64))
    }
}

impl Ports for CasePorts {
    type RequestBody = Whole;
    type OriginBody = Whole;
    type Sleep = Timer;

    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }
    fn mono_us(&self) -> u64 {
        self.0.mono_us.get()
    }
    fn entropy(&self) -> Option<Entropy> {
        let count = self.0.requests.get();
        let mut entropy = Entropy { draw: self.0.draw.get(), ..Entropy::default() };
        for (to, from) in entropy.request.iter_mut().rev().zip(count.to_le_bytes()) {
            *to = from;
        }
        entropy.trace = [8; 16];
        // Ids are made of it, and each is another.
        entropy.span = (count | 9 << 56).to_be_bytes();
        self.0.requests.set(count + 1);
        Some(entropy)
    }
    fn turn(&self) -> u64 {
        self.0.turn.get()
    }
    fn take_turn(&self) {
        self.0.turn.set(self.0.turn.get() + 1);
    }
    fn can_upgrade(&self) -> bool {
        self.0.can_upgrade.get()
    }
    fn draining(&self) -> bool {
        self.0.draining.get()
    }
    fn seen(&self) -> Option<u64> {
        Some(self.0.seen.get())
    }

    fn follow(&self, _: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let before = Arc::clone(&self.0.gateway.borrow());
        let followed = Followed::new(&before, text);
        self.0.seen.set(followed.seen);
        let board = Followed::board(&before, &self.0.board.borrow(), &followed.gateway);
        self.0.board.replace(board);
        if let Some(batch) = takes_over(&before, &followed.gateway, self.0.now_ms()) {
            self.0.fallback.borrow_mut().apply(&batch);
        }
        self.0.gateway.replace(Arc::clone(&followed.gateway));
        // It did nothing but say so.
        self.0.asked.borrow_mut().clear();
        Some((self.clone(), followed.gateway))
    }

    fn sleep(&self, ms: u64) -> Timer {
        self.0.slept_ms.set(ms);
        Timer::new(&self.0, ms)
    }
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(task));
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        self.0.asked.borrow_mut().push(batch.clone());
        if !self.0.store_is.get().is_up() {
            return Err(StoreDown);
        }
        self.0.store.borrow_mut().apply(batch).map_err(|_| StoreDown)
    }

    fn remember(&self, batch: &Batch) -> Vec<Cell> {
        self.0.fallback.borrow_mut().apply(batch)
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        let stands_in = self.0.store_is.get() != StoreIs::Gone;
        stands_in.then(|| self.0.fallback.borrow_mut().apply(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        mut body: Upload<Whole>,
    ) -> Result<Response<Whole>, Failure> {
        let target = attempt.uri.path_and_query().map_or("/", |target| target.as_str());
        let asked = Asked {
            origin: self.0.names.get(attempt.origin.0).cloned().unwrap_or_default(),
            request: format!("{} {target}", request.method),
            headers: request.headers.clone(),
            body: Bytes::new(),
        };
        let place = self.0.sent.borrow().len();
        self.0.sent.borrow_mut().push(Sent { asked, timeout_ms: Some(self.0.slept_ms.get()) });
        let says = self.0.script.borrow_mut().pop_front().unwrap_or_default();
        let sent = says.fails != Some(Fails::Unreachable) && says.fails != Some(Fails::Denied);
        if sent {
            let mut whole = Vec::new();
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                match frame {
                    Ok(frame) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Err(_) => return Err(Failure { kind: OriginFailure::Broken, sent }),
                }
            }
            if let Some(it) = self.0.sent.borrow_mut().get_mut(place) {
                it.asked.body = whole.into();
            }
        }
        if let Some(delay) = says.delay {
            Timer::new(&self.0, delay.ms()).await;
        }
        let fail = |kind| Err(Failure { kind, sent });
        match says.fails {
            Some(Fails::Unreachable) => return fail(OriginFailure::Unreachable),
            Some(Fails::Denied) => return fail(OriginFailure::Denied),
            Some(Fails::Broken) => return fail(OriginFailure::Broken),
            Some(Fails::Timeout) => return pending().await,
            None => {}
        }
        let status = says.status.map_or(Ok(StatusCode::OK), StatusCode::from_u16);
        let (Ok(status), Ok(headers)) = (status, says.head()) else {
            return fail(OriginFailure::Broken);
        };
        let body = Whole { breaks: says.breaks, ..Whole::new(says.bytes()) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        std::future::ready(Tunnelled { clean: true, ..Tunnelled::default() })
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        with(&mut self.0.board.borrow_mut())
    }

    fn record(&self, epilogue: &Epilogue) {
        for event in &epilogue.events {
            self.0.failures.borrow_mut().note(event, epilogue.record.outcome.now_ms);
        }
        self.0.epilogues.borrow_mut().push(epilogue.clone());
    }

    async fn status(&self, _: &Report) -> Status {
        let up = self.0.store_is.get().is_up();
        Status {
            store: StoreStatus { mode: "embedded", up, ..StoreStatus::default() },
            origins: self.0.board.borrow().views(self.0.now_ms()),
            failing: self.0.failures.borrow().recent(self.0.now_ms()),
            ..Status::default()
        }
    }
}
