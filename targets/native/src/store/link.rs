//! One connection and its calls: what callers and the connection's task share, and the task.
//!
//! Callers append to the outbox and wait; the task runs after them, so that all calls of one scheduler tick leave in one write. Redis
//! answers in order: the n-th reply is for the n-th call. A caller that gave up leaves its place in the queue, and
//! its late reply goes nowhere.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use acip_core::store::{Decoder, Reply, StoreError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use super::{sentinel::Route, stream::Stream};

/// A connection as its callers see it.
pub(super) struct Link {
    outbox: RefCell<Vec<u8>>,
    waiting: RefCell<VecDeque<Caller>>,
    /// There is something to write.
    wake: Notify,
    /// The connection is to be given up.
    cut: Notify,
    /// Counts connections; 0: none yet.
    generation: Cell<u64>,
    /// The connection that is to be given up.
    doomed: Cell<u64>,
    up: Cell<bool>,
    /// Attempts to connect that have ended.
    attempts: watch::Sender<u64>,
    heard: Cell<Option<Instant>>,
    error: RefCell<String>,
    latency: Cell<Option<Duration>>,
    round_trips: Cell<u64>,
}

/// Who the next replies are for.
enum Caller {
    One(oneshot::Sender<Reply>),
    Many { to: oneshot::Sender<Vec<Reply>>, missing: usize, got: Vec<Reply> },
}

impl Link {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            outbox: RefCell::default(),
            waiting: RefCell::default(),
            wake: Notify::new(),
            cut: Notify::new(),
            generation: Cell::new(0),
            doomed: Cell::new(0),
            up: Cell::new(false),
            attempts: watch::Sender::new(0),
            heard: Cell::new(None),
            error: RefCell::new("not connected yet".into()),
            latency: Cell::new(None),
            round_trips: Cell::new(0),
        })
    }

    /// Sends one command and waits for its reply until `deadline`.
    pub(super) async fn call(
        &self,
        deadline: Instant,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, StoreError> {
        self.exchange(deadline, 1, Caller::One, encode).await
    }

    /// Sends `count` commands, one after the other and nothing in between, and waits for all their replies.
    pub(super) async fn call_many(
        &self,
        deadline: Instant,
        count: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<Reply>, StoreError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let caller = |to| Caller::Many { to, missing: count, got: Vec::new() };
        self.exchange(deadline, count, caller, encode).await
    }

    async fn exchange<T>(
        &self,
        deadline: Instant,
        count: usize,
        caller: impl FnOnce(oneshot::Sender<T>) -> Caller,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<T, StoreError> {
        if !self.up.get() {
            return Err(StoreError::Down(self.error.borrow().clone()));
        }
        if self.waiting.borrow().len() >= MAX_OUTSTANDING {
            return Err(StoreError::Down("too many calls wait for an answer".into()));
        }
        let (sender, receiver) = oneshot::channel();
        encode(&mut self.outbox.borrow_mut());
        self.waiting.borrow_mut().push_back(caller(sender));
        self.wake.notify_one();
        self.round_trips.set(self.round_trips.get().saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        let (sent, generation) = (Instant::now(), self.generation.get());
        match timeout_at(deadline, receiver).await {
            Ok(Ok(answer)) => {
                self.latency.set(Some(sent.elapsed()));
                Ok(answer)
            }
            Ok(Err(_)) => Err(StoreError::Down(self.error.borrow().clone())),
            Err(_) => {
                // Nothing at all since we asked: the connection may be dead without saying so.
                if self.heard.get().is_none_or(|heard| heard < sent) {
                    self.give_up(generation);
                }
                Err(StoreError::Timeout)
            }
        }
    }

    /// Hands a reply to who waits for it; false where nobody does. A caller that gave up is handed its replies all the
    /// same: they have to be taken out of the way.
    fn deliver(&self, reply: Reply) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        match waiting.pop_front() {
            None => return false,
            Some(Caller::One(to)) => drop(to.send(reply)),
            Some(Caller::Many { to, missing, mut got }) => {
                got.push(reply);
                match missing {
                    0 | 1 => drop(to.send(got)),
                    _ => waiting.push_front(Caller::Many { to, missing: missing - 1, got }),
                }
            }
        }
        true
    }

    /// Closes that connection, unless it is another one by now.
    pub(super) fn give_up(&self, generation: u64) {
        self.doomed.set(self.doomed.get().max(generation));
        self.cut.notify_one();
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.get()
    }

    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency.get()
    }

    pub(super) fn error(&self) -> String {
        self.error.borrow().clone()
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.get()
    }

    /// Waits until one attempt to connect has ended.
    pub(super) async fn settled(&self) {
        let _ = self.attempts.subscribe().wait_for(|attempts| *attempts > 0).await;
    }

    fn opened(&self) {
        self.generation.set(self.generation.get() + 1);
        self.heard.set(None);
        self.up.set(true);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// Fails all calls under way; none is sent again, as it may have been counted.
    fn closed(&self, error: String) {
        self.up.set(false);
        *self.error.borrow_mut() = error;
        self.outbox.borrow_mut().clear();
        self.waiting.borrow_mut().clear();
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    async fn until_cut(&self) -> String {
        while self.doomed.get() < self.generation.get() {
            self.cut.notified().await;
        }
        "the server fell silent".into()
    }

    async fn write(&self, mut writer: WriteHalf<Box<dyn Stream>>) -> String {
        let mut batch = Vec::new();
        loop {
            std::mem::swap(&mut batch, &mut self.outbox.borrow_mut());
            if batch.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let written = match writer.write_all(&batch).await {
                Ok(()) => writer.flush().await,
                error => error,
            };
            if let Err(error) = written {
                return error.to_string();
            }
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
        }
    }

    async fn read(&self, mut reader: ReadHalf<Box<dyn Stream>>, mut decoder: Decoder) -> String {
        loop {
            while let Some(reply) = decoder.next() {
                match reply {
                    Err(error) => return error.to_string(),
                    Ok(Reply::Push(_)) => {}
                    Ok(reply) => {
                        if !self.deliver(reply) {
                            return "the server answered without a question".into();
                        }
                    }
                }
            }
            decoder.buffer_mut().reserve(READ_BYTES);
            match reader.read_buf(decoder.buffer_mut()).await {
                Ok(0) => return "closed by the server".into(),
                Ok(_) => self.heard.set(Some(Instant::now())),
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Keeps a connection: opens it, serves its calls, and opens it again after a pause.
pub(super) async fn keep(link: Rc<Link>, mut route: Route) {
    let mut pause = FIRST_PAUSE;
    loop {
        match route.open().await {
            Ok((stream, decoder)) => {
                pause = FIRST_PAUSE;
                link.opened();
                let (reader, writer) = tokio::io::split(stream);
                let error = tokio::select! {
                    error = link.read(reader, decoder) => error,
                    error = link.write(writer) => error,
                    error = link.until_cut() => error,
                };
                link.closed(error);
            }
            Err(error) => link.closed(error),
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Half to all of a pause, so that many gateways do not come back at one instant.
pub(super) fn jittered(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + pause.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 2.0)
}

/// Calls under way on one connection; far more than a thread can have in flight unless the server hangs.
const MAX_OUTSTANDING: usize = 8192;

/// Room made before each read.
const READ_BYTES: usize = 16 * 1024;

/// Room kept after a large write.
const KEPT_BYTES: usize = 256 * 1024;

/// The pause before the first try to connect again.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Pauses double up to this.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
