//! What a connection, its requests and the sweeper of its thread tell each other.
//!
//! There is no timer per connection. Once a second the sweeper of the thread looks at each [`Watch`]: one that has
//! not moved for too long is told to end. All of it is touched by one thread; the atomics are there because the
//! HTTP library wants transports that could move.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
};

use super::head::Violation;

/// One connection's notes.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests begun and not yet over, bodies included.
    busy: AtomicU32,
    /// Goes up with every head and every end of a request.
    moves: AtomicU64,
    /// Some of a head has come, but not all.
    in_head: AtomicBool,
    /// The client does not take what is written.
    stuck: AtomicBool,
    /// The connection only waits for the client to close.
    lingering: AtomicBool,
    command: AtomicU8,
    upgrade: AtomicU8,
    violation: Mutex<Option<Violation>>,
    task: Mutex<Option<Waker>>,
    reader: Mutex<Option<Waker>>,
}

/// What the connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Go on.
    None,
    /// Finish what is under way, then close.
    Drain,
    /// Close now.
    Close,
}

/// Whether the connection changed its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Not decided.
    Open,
    /// 101 was answered: what follows is no HTTP.
    Granted,
    /// Anything else was answered: the next head follows.
    Refused,
}

/// A state that must not last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// For the rest of a head.
    Head,
    /// For the next request.
    Idle,
    /// For the client to take bytes.
    Stuck,
    /// For the client to close.
    Linger,
    /// For nothing that the client owes.
    Not,
}

impl Watch {
    /// A request begins.
    pub fn begin(&self) {
        self.busy.fetch_add(1, Relaxed);
        self.moved();
    }

    /// A request is over.
    pub fn end(&self) {
        self.busy.fetch_sub(1, Relaxed);
        self.moved();
    }

    /// Something happened that resets the sweeper's patience.
    pub fn moved(&self) {
        self.moves.fetch_add(1, Relaxed);
    }

    /// How often [`Watch::moved`] was called.
    pub fn moves(&self) -> u64 {
        self.moves.load(Relaxed)
    }

    /// Requests under way.
    pub fn busy(&self) -> u32 {
        self.busy.load(Relaxed)
    }

    /// What the client owes.
    pub fn waiting(&self) -> Waiting {
        if self.lingering.load(Relaxed) {
            Waiting::Linger
        } else if self.stuck.load(Relaxed) {
            Waiting::Stuck
        } else if self.in_head.load(Relaxed) {
            Waiting::Head
        } else if self.busy() == 0 {
            Waiting::Idle
        } else {
            Waiting::Not
        }
    }

    pub(super) fn set_in_head(&self, value: bool) {
        if self.in_head.swap(value, Relaxed) != value {
            self.moved();
        }
    }

    pub(super) fn set_stuck(&self, value: bool) {
        self.stuck.store(value, Relaxed);
        if !value {
            self.moved();
        }
    }

    pub(super) fn set_lingering(&self) {
        if !self.lingering.swap(true, Relaxed) {
            self.moved();
        }
    }

    /// Tells the connection what to do, and wakes it.
    pub fn tell(&self, command: Command) {
        let value = match command {
            Command::None => 0,
            Command::Drain => 1,
            Command::Close => 2,
        };
        self.command.fetch_max(value, Relaxed);
        wake(&self.task);
    }

    /// What the connection was told.
    pub fn command(&self) -> Command {
        match self.command.load(Relaxed) {
            0 => Command::None,
            1 => Command::Drain,
            _ => Command::Close,
        }
    }

    /// Registers the connection's task for [`Watch::tell`].
    pub fn register(&self, cx: &Context<'_>) {
        store(&self.task, cx);
    }

    /// The next head may be parsed, or no more HTTP is to be expected.
    pub fn settle_upgrade(&self, granted: bool) {
        self.upgrade.store(if granted { 1 } else { 2 }, Relaxed);
        wake(&self.reader);
    }

    pub(super) fn upgrade(&self) -> Upgrade {
        match self.upgrade.load(Relaxed) {
            0 => Upgrade::Open,
            1 => Upgrade::Granted,
            _ => Upgrade::Refused,
        }
    }

    pub(super) fn open_upgrade(&self) {
        self.upgrade.store(0, Relaxed);
    }

    pub(super) fn await_upgrade(&self, cx: &Context<'_>) {
        store(&self.reader, cx);
    }

    pub(super) fn violate(&self, violation: Violation) {
        if let Ok(mut place) = self.violation.lock() {
            *place = Some(violation);
        }
    }

    /// What was wrong with the head that the reserved method stands for.
    pub fn violation(&self) -> Option<Violation> {
        self.violation.lock().ok().and_then(|place| *place)
    }
}

fn wake(place: &Mutex<Option<Waker>>) {
    if let Ok(waker) = place.lock()
        && let Some(waker) = &*waker
    {
        waker.wake_by_ref();
    }
}

fn store(place: &Mutex<Option<Waker>>, cx: &Context<'_>) {
    if let Ok(mut waker) = place.lock() {
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }
}
