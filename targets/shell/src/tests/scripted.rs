//! Ports that do what a case says, with a clock that moves when it is told to.

use std::{
    cell::{Cell as Slot, OnceCell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use acip_core::{
    Epilogue, OriginFailure, Report, Status,
    facts::Entropy,
    origins::Board,
    outcome::AccessRecord,
    store::{Batch, Cell},
    telemetry::span::Span,
    verdict::Attempt,
};
use bytes::Bytes;
use http::{Extensions, Response};
use http_body::{Body, Frame};

use crate::{Failure, Instance, OriginRequest, Ports, StoreDown, Tunnelled, Upload, export};

/// What an origin does with the next attempt.
pub(super) enum Script {
    /// No head.
    Fail(OriginFailure, bool),
    /// Takes one chunk of the request, then fails.
    TakeAndFail,
    /// Looks for a chunk of the request, then fails.
    LookAndFail,
    /// Takes one chunk of the request, then never answers.
    TakeAndHang,
    /// Never answers.
    Hang,
    /// Takes the whole request, then answers 200.
    Answer(Vec<Step>),
}

/// What an origin's body does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Chunk(&'static str),
    /// Nothing, until the case says [`Scripted::release`].
    Wait,
    Break,
}

/// The ports.
#[derive(Clone)]
pub(super) struct Scripted(pub(super) Rc<State>);

pub(super) struct State {
    pub(super) now_us: Slot<u64>,
    pub(super) board: RefCell<Board>,
    pub(super) script: RefCell<VecDeque<Script>>,
    /// Request bodies that arrived, by attempt.
    pub(super) uploads: RefCell<Vec<String>>,
    pub(super) store_hangs: Slot<bool>,
    pub(super) store_down: Slot<bool>,
    /// The platform has no random bytes.
    pub(super) no_chance: Slot<bool>,
    pub(super) asked: RefCell<Vec<Batch>>,
    /// What the process kept for itself.
    pub(super) kept: RefCell<Vec<Batch>>,
    /// What the store says to a watch.
    pub(super) changed: RefCell<Option<Bytes>>,
    /// It is time to look for changes.
    pub(super) look_is_due: Slot<bool>,
    pub(super) records: RefCell<Vec<AccessRecord>>,
    pub(super) tasks: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    /// What keeps spans, where the case has one.
    pub(super) instance: OnceCell<Instance>,
    released: Slot<bool>,
}

impl Scripted {
    pub(super) fn new(origins: usize, script: Vec<Script>) -> Self {
        Self(Rc::new(State {
            now_us: Slot::new(1_000_000),
            board: RefCell::new(Board::new(origins)),
            script: RefCell::new(script.into()),
            uploads: RefCell::default(),
            store_hangs: Slot::new(false),
            store_down: Slot::new(false),
            no_chance: Slot::new(false),
            asked: RefCell::default(),
            kept: RefCell::default(),
            changed: RefCell::default(),
            look_is_due: Slot::new(false),
            records: RefCell::default(),
            tasks: RefCell::default(),
            instance: OnceCell::new(),
            released: Slot::new(false),
        }))
    }

    pub(super) fn advance_ms(&self, ms: u64) {
        self.0.now_us.set(self.0.now_us.get() + ms * 1000);
    }

    pub(super) fn release(&self) {
        self.0.released.set(true);
    }

    /// Runs what was left to run behind the client's back.
    pub(super) fn run_tasks(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        for mut task in tasks {
            assert!(poll(&mut task).is_ready(), "a background task waits");
        }
    }

    /// Requests under way, by origin.
    pub(super) fn in_flight(&self) -> Vec<u32> {
        self.0.board.borrow().views(0).iter().map(|view| view.in_flight).collect()
    }
}

/// One poll, woken by nobody.
pub(super) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Goes off when the clock has moved far enough.
pub(super) struct Timer(Rc<State>, u64);

impl Future for Timer {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.now_us.get() >= self.1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A body that follows its steps.
pub(super) struct Steps(Rc<State>, VecDeque<Step>);

impl Body for Steps {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(Step::Wait) = self.1.front() {
            if !self.0.released.get() {
                return Poll::Pending;
            }
            self.1.pop_front();
        }
        Poll::Ready(match self.1.pop_front() {
            None => None,
            Some(Step::Chunk(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Some(Step::Break) => Some(Err("broken")),
            Some(Step::Wait) => return Poll::Pending,
        })
    }
}

/// A client's body of these chunks; each [`PAUSE`] among them lasts until the clock moves.
pub(super) struct Chunks {
    chunks: VecDeque<&'static str>,
    state: Rc<State>,
    /// When the pause at the front was met.
    paused_us: Option<u64>,
}

/// See [`Chunks`].
pub(super) const PAUSE: &str = "";

impl Chunks {
    pub(super) fn new(ports: &Scripted, chunks: &[&'static str]) -> Self {
        Self { chunks: chunks.iter().copied().collect(), state: Rc::clone(&ports.0), paused_us: None }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        while let Some(&PAUSE) = self.chunks.front() {
            let now_us = self.state.now_us.get();
            if *self.paused_us.get_or_insert(now_us) == now_us {
                return Poll::Pending;
            }
            self.paused_us = None;
            self.chunks.pop_front();
        }
        let next = self.chunks.pop_front();
        Poll::Ready(next.map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }
}

impl Ports for Scripted {
    type RequestBody = Chunks;
    type OriginBody = Steps;
    type Sleep = Timer;

    fn now_ms(&self) -> u64 {
        self.0.now_us.get() / 1000
    }
    fn mono_us(&self) -> u64 {
        self.0.now_us.get()
    }
    fn entropy(&self) -> Option<Entropy> {
        (!self.0.no_chance.get()).then(Entropy::default)
    }
    fn turn(&self) -> u64 {
        0
    }

    fn take_turn(&self) {}
    fn can_upgrade(&self) -> bool {
        false
    }
    fn draining(&self) -> bool {
        false
    }
    fn sleep(&self, ms: u64) -> Timer {
        Timer(Rc::clone(&self.0), self.0.now_us.get() + ms * 1000)
    }
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(task));
    }
    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        self.0.asked.borrow_mut().push(batch.clone());
        if self.0.store_hangs.get() {
            pending::<()>().await;
        }
        if self.0.store_down.get() {
            return Err(StoreDown);
        }
        let mut row = vec![Cell::Nil; batch.width()];
        if let (Some(changed), true, Some(first)) =
            (self.0.changed.borrow().clone(), batch.watches(), row.first_mut())
        {
            *first = Cell::Bytes(changed);
        }
        Ok(row)
    }
    fn look_is_due(&self) -> bool {
        self.0.look_is_due.get()
    }
    fn remember(&self, batch: &Batch) -> Vec<Cell> {
        self.0.kept.borrow_mut().push(batch.clone());
        vec![Cell::Int(7); batch.width()]
    }
    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(vec![Cell::Nil; batch.width()])
    }
    async fn send(
        &self,
        _: &Attempt,
        _: OriginRequest<'_>,
        mut body: Upload<Chunks>,
    ) -> Result<Response<Steps>, Failure> {
        let mut text = String::new();
        let script = self.0.script.borrow_mut().pop_front().expect("a script for each attempt");
        let mut next = async || {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await?;
            Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
        };
        match script {
            Script::Fail(kind, sent) => Err(Failure { kind, sent }),
            Script::Hang => pending().await,
            Script::LookAndFail => {
                let mut looking = pin!(next());
                std::future::poll_fn(|cx| Poll::Ready(looking.as_mut().poll(cx).is_ready())).await;
                Err(Failure { kind: OriginFailure::Broken, sent: true })
            }
            Script::TakeAndHang => {
                let _ = next().await;
                pending().await
            }
            Script::TakeAndFail => {
                let _ = next().await;
                Err(Failure { kind: OriginFailure::Broken, sent: true })
            }
            Script::Answer(steps) => {
                while let Some(chunk) = next().await {
                    match chunk {
                        Ok(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
                        Err(_) => return Err(Failure { kind: OriginFailure::Broken, sent: true }),
                    }
                }
                self.0.uploads.borrow_mut().push(text);
                Ok(Response::new(Steps(Rc::clone(&self.0), steps.into())))
            }
        }
    }
    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        std::future::ready(Tunnelled::default())
    }
    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        with(&mut self.0.board.borrow_mut())
    }
    fn record(&self, epilogue: &Epilogue) {
        self.0.records.borrow_mut().push(epilogue.record.clone());
    }
    fn export(&self, spans: Vec<Span>) {
        export::behind(self, |ports| ports.0.instance.get().expect("an instance"), |_| {}, spans);
    }
    async fn status(&self, _: &Report) -> Status {
        Status::default()
    }
}
