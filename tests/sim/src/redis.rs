//! The store: the embedded one's meaning, behind a network, with a replica that lags.

use std::collections::{BTreeMap, VecDeque};

use acip_core::store::{Batch, Cell, Memory, Op};

/// A primary and its replica.
pub(crate) struct Redis {
    primary: Memory,
    /// None once it has become the primary.
    replica: Option<Memory>,
    /// What is on its way to the replica, and when it arrives (true microseconds).
    behind: VecDeque<(u64, Batch)>,
    pub(crate) lag_us: u64,
    pub(crate) up: bool,
    /// The latest moment at which something was counted against a limit since the last loss, by the limit's name.
    counted: BTreeMap<String, u64>,
    /// Against which moment the last batch counted, if it did.
    pub(crate) counted_ms: Option<u64>,
    /// When something that had been answered was forgotten, true ms.
    pub(crate) losses: Vec<u64>,
}

impl Redis {
    pub(crate) fn new(lag_us: u64) -> Self {
        Self {
            primary: Memory::default(),
            replica: Some(Memory::default()),
            behind: VecDeque::new(),
            lag_us,
            up: true,
            counted: BTreeMap::new(),
            counted_ms: None,
            losses: Vec::new(),
        }
    }

    /// Answers; none while it is away.
    pub(crate) fn apply(&mut self, batch: &Batch, now_us: u64) -> Option<Vec<Cell>> {
        if !self.up {
            return None;
        }
        self.replicate(now_us);
        if self.replica.is_some() {
            self.behind.push_back((now_us + self.lag_us, batch.clone()));
        }
        let row = self.primary.apply(batch);
        self.count(batch, &row);
        Some(row)
    }

    /// A limit counts at the latest moment that any clock has shown it, so a clock that is behind gains nothing.
    fn count(&mut self, batch: &Batch, row: &[Cell]) {
        self.counted_ms = None;
        let mut cell = 0;
        for op in &batch.ops {
            let name = match op {
                Op::Spend { limit, .. } => Some(&limit.key),
                Op::SpendRecord { prefix, .. } => Some(prefix),
                _ => None,
            };
            if let Some(name) = name
                && row[cell] == Cell::Int(1)
            {
                let latest = self.counted.entry(name.clone()).or_default();
                *latest = batch.now_ms.max(*latest);
                self.counted_ms = Some(*latest);
            }
            cell += op.width();
        }
    }

    fn replicate(&mut self, now_us: u64) {
        while self.behind.front().is_some_and(|(at, _)| *at <= now_us) {
            if let (Some((_, batch)), Some(replica)) = (self.behind.pop_front(), &mut self.replica) {
                replica.apply(&batch);
            }
        }
    }

    pub(crate) fn forget(&mut self, now_ms: u64) {
        self.primary = Memory::default();
        self.replica = self.replica.as_ref().map(|_| Memory::default());
        self.behind.clear();
        self.losses.push(now_ms);
        self.counted.clear();
    }

    pub(crate) fn fail_over(&mut self, now_us: u64) {
        self.replicate(now_us);
        let Some(replica) = self.replica.take() else { return };
        self.primary = replica;
        self.losses.push(now_us / 1000);
        self.counted.clear();
        self.behind.clear();
    }

    /// What stands under a key at this moment, without a trace.
    pub(crate) fn peek(&mut self, key: &str, now_ms: u64) -> Option<bytes::Bytes> {
        let batch = Batch { now_ms, ops: vec![Op::Get { key: key.to_owned() }] };
        match self.primary.apply(&batch).into_iter().next() {
            Some(Cell::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Whether a credential's record is there and switched on.
    pub(crate) fn is_live(&mut self, key: &str, now_ms: u64) -> bool {
        let batch = Batch { now_ms, ops: vec![Op::Record { key: key.to_owned() }] };
        let cells = self.primary.apply(&batch);
        cells.first() == Some(&Cell::Int(1))
    }

    pub(crate) fn usage(&self) -> acip_core::store::MemoryUse {
        self.primary.usage()
    }
}
