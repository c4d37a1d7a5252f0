//! What one instance of a gateway remembers, and which instance a request meets: that is where targets differ.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use acip_core::{origins::Board, store::Memory};
use bytes::Bytes;

use crate::{chance::Chance, client::bounds, plan::Target};

/// One instance: a process, an isolate, a component.
pub(crate) struct Life {
    /// Among its gateway's, from 0.
    pub(crate) number: usize,
    pub(crate) board: RefCell<Board>,
    pub(crate) memory: RefCell<Memory>,
    pub(crate) turn: Cell<u64>,
    /// The stored changes of the configuration that it follows, as the store had them.
    pub(crate) changes: RefCell<Bytes>,
    /// Requests and what runs behind them.
    busy: Cell<usize>,
    /// Since when nothing does, true microseconds.
    rested_us: Cell<u64>,
    /// How long it has been frozen: its monotonic clock stood still.
    frozen_us: Cell<u64>,
}

/// The instances of a gateway.
pub(crate) struct Lives {
    target: Target,
    origins: usize,
    /// All there ever were.
    all: RefCell<Vec<Rc<Life>>>,
    /// Those that may be met again.
    open: RefCell<Vec<Rc<Life>>>,
}

impl Lives {
    pub(crate) fn new(target: Target, origins: usize) -> Self {
        Self { target, origins, all: RefCell::default(), open: RefCell::default() }
    }

    /// The instance that takes the next request.
    pub(crate) fn take(&self, chance: &Chance, now_us: u64) -> Rc<Life> {
        let mut open = self.open.borrow_mut();
        let (most, index) = match self.target {
            Target::Native => (1, Some(0)),
            Target::Worker => {
                if open.len() == ISOLATES && chance.per_mille(30) {
                    open.remove(0);
                }
                (ISOLATES, usize::try_from(chance.draw() % ISOLATES as u64).ok())
            }
            Target::Spin => (0, None),
            Target::Lambda => (usize::MAX, open.iter().rposition(|life| life.busy.get() == 0)),
        };
        let met = index.and_then(|index| open.get(index)).map(Rc::clone);
        let life = met.unwrap_or_else(|| {
            let life = self.begin(now_us);
            if open.len() < most {
                open.push(Rc::clone(&life));
            }
            life
        });
        if self.target == Target::Lambda {
            life.frozen_us.set(life.frozen_us.get() + now_us - life.rested_us.get());
        }
        life
    }

    fn begin(&self, now_us: u64) -> Rc<Life> {
        let mut all = self.all.borrow_mut();
        let life = Rc::new(Life {
            number: all.len(),
            board: RefCell::new(Board::new(self.origins)),
            memory: RefCell::new(Memory::new(bounds())),
            turn: Cell::default(),
            changes: RefCell::default(),
            busy: Cell::default(),
            rested_us: Cell::new(now_us),
            frozen_us: Cell::default(),
        });
        all.push(Rc::clone(&life));
        life
    }

    /// All there ever were.
    pub(crate) fn all(&self) -> Vec<Rc<Life>> {
        self.all.borrow().clone()
    }
}

impl Life {
    /// Its monotonic clock.
    pub(crate) fn mono_us(&self, now_us: u64) -> u64 {
        now_us - self.frozen_us.get()
    }

    /// Something runs in it until [`Life::ends`].
    pub(crate) fn begins(&self) {
        self.busy.set(self.busy.get() + 1);
    }

    /// It has ended.
    pub(crate) fn ends(&self, now_us: u64) {
        self.busy.set(self.busy.get() - 1);
        self.rested_us.set(now_us);
    }
}

/// Isolates of a Worker at a time.
const ISOLATES: usize = 3;
