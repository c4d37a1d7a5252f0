//! What can be asked of the store, and typed places for the answers.

use alloc::{boxed::Box, string::String, vec::Vec};
use bytes::Bytes;
use core::marker::PhantomData;

use super::{Amended, Hash, Record, Replaced, Spend, WorkerRecord, Workers};
use crate::config::Algorithm;

/// One value of the store's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// Nothing there.
    #[default]
    Nil,
    /// An integer.
    Int(i64),
    /// Bytes.
    Bytes(Bytes),
}

/// One limit to spend from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSpec {
    /// Full key, e.g. `gateway:ratelimit:{H}:default`.
    pub key: String,
    /// How it counts.
    pub algorithm: Algorithm,
    /// Units per window.
    pub limit: u32,
    /// Window length.
    pub window_ms: u64,
    /// Units to spend.
    pub cost: u32,
}

/// When an operation of a batch applies. `record` is the index (in the batch) of an earlier [`Op::Record`].
///
/// A record is *live* when it exists, its field `enabled` is not `0` and its `expires_at` (unix ms) is absent, empty or in
/// the future; one that is no number counts as past. A worker's record is live when its `hash` is not empty, too. A guard that
/// refers to no earlier record of its sort never holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Always.
    Always,
    /// Only if that record is live.
    IfLive(usize),
    /// Only if that record is not live.
    UnlessLive(usize),
    /// Only if that [`Op::WorkerRecord`] is live and holds this very token (`hash` equals the op's `presented`).
    IfWorkerMatches(usize),
    /// Only if that [`Op::WorkerRecord`] is live and holds another token.
    IfWorkerDiffers(usize),
    /// Only if that [`Op::WorkerRecord`] is not live: the worker's token is unknown.
    IfWorkerUnknown(usize),
}

/// One operation. All times are unix milliseconds, all TTLs milliseconds.
///
/// Everything happens in order, but for the `together` spends: those whose guard holds are judged as a unit at the place of
/// the last of them, each seeing what the ones before it would count, and none is counted if any is refused. `admitted` still tells of
/// each limit alone; `remaining` and `reset_ms` are then those without the request. [`Op::SpendRecord`] is always
/// `together`.
///
/// A limit of 0 refuses; a cost above the limit always does (`retry_after_ms` is then the window, for want of a
/// better); a cost of 0 only looks. A key whose value is of another shape (another type, algorithm or
/// window) is absent to reads, and starts anew for limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The API key record `gateway:key:{H}`: [`Record::WIDTH`] cells.
    Record {
        /// Key of a hash.
        key: String,
    },
    /// The learned state of a worker, `gateway:worker:{id}`: [`WorkerRecord::WIDTH`] cells.
    WorkerRecord {
        /// Key of a hash with `hash`, `expires_at`.
        key: String,
        /// Stored form of the presented token; empty if none.
        presented: String,
    },
    /// Spends from a limit: [`Spend::WIDTH`] cells; all `Nil` where the guard does not hold.
    Spend {
        /// The limit.
        limit: LimitSpec,
        /// When it applies.
        guard: Guard,
        /// Unique name of this admission, at most 40 bytes; lets `sliding-log` give it back.
        member: String,
        /// Counted only if all others marked so are admitted.
        together: bool,
    },
    /// Spends from every limit that a live record carries in its field `limits`, under `{prefix}{name}`, and
    /// its `daily_limit` (fixed window of 86 400 000 ms, name `daily`): [`Spend::WIDTH`] cells of the
    /// tightest: of the refusing ones that with the longest wait, else that with the least left. `fallback` is spent from
    /// (as well as the daily limit) if the live record has no `limits` of its own. All `Nil` if the record is not live or there is nothing to
    /// spend from.
    ///
    /// `limits` is a JSON array of at most 16 `{"name","limit","window_ms","algorithm"?,"cost"?}` with distinct names of
    /// 1 to 64 bytes and whole numbers. Anything else, and a `daily_limit` that is no number, refuses under the name `invalid`.
    SpendRecord {
        /// Index of the [`Op::Record`].
        record: usize,
        /// Start of the limit keys.
        prefix: String,
        /// Used where the record carries no `limits`.
        fallback: Option<LimitSpec>,
        /// As in [`Op::Spend`].
        member: String,
        /// Multiplies each carried limit (polling routes have ten times the limit).
        factor: u32,
    },
    /// Ends the batch where the string at `key` is of another version ([`version_of`](super::version_of)) than `seen`: 1
    /// cell with the string, empty where there is none, and no operation after it happens; their cells are `Nil`. Its own cell is `Nil`
    /// where the version is that.
    Watch {
        /// Its key.
        key: String,
        /// The version that is known; at most 10^15.
        seen: u64,
    },
    /// Sets a string without an end where what stands there is of version `seen`: 1 cell, which is 1 then; else what
    /// stands there, as in [`Op::Watch`].
    Replace {
        /// Its key.
        key: String,
        /// The version that is known.
        seen: u64,
        /// Its value.
        value: String,
    },
    /// A string: 1 cell.
    Get {
        /// Its key.
        key: String,
    },
    /// The worker list: 1 cell. The string at `snapshot` if it exists and is not empty, else a JSON document
    /// `{"ids":[…],"status":[…],"gpu":[…],"heartbeat":[…]}` of the raw strings (or `false`) of the first `max` ids in the JSON array at `index`.
    /// Their keys are `index` without its ending `index`, then `{id}:status` and so on.
    Workers {
        /// `gateway:workers:snapshot`.
        snapshot: String,
        /// `worker:index`.
        index: String,
        /// Most ids read.
        max: u32,
    },
    /// A whole hash: 1 cell, a JSON array `["field","value",…]` in no order. Nil where there is none, or one of more than `max` fields.
    Hash {
        /// Its key.
        key: String,
        /// Most fields read.
        max: u32,
    },
    /// Adds to whole numbers in the fields of a hash: 0 cells. What is no hash starts anew, and so does a field that is no whole
    /// number or would leave the 64 bits of one.
    Tally {
        /// Key of the hash.
        key: String,
        /// What to add, in order; nothing at all changes nothing.
        adds: Vec<Add>,
        /// Past so many fields, what would make a new one is added to its [`Add::spill`].
        max: u32,
        /// Time to live from now.
        ttl_ms: u64,
    },
    /// Gives one `sliding-log` admission back: 0 cells.
    Refund {
        /// Key of the limit.
        key: String,
        /// The admission.
        member: String,
    },
    /// Sets a string: 0 cells.
    Set {
        /// Its key.
        key: String,
        /// Its value.
        value: Bytes,
        /// Time to live; none: for ever.
        ttl_ms: Option<u64>,
        /// Only where nothing stands yet.
        only_new: bool,
    },
    /// Replaces a hash: 0 cells.
    SetHash {
        /// Its key.
        key: String,
        /// All of its fields.
        fields: Vec<(String, String)>,
        /// Time to live; none: for ever.
        ttl_ms: Option<u64>,
        /// Only where the first of them is not set yet; none at all changes nothing then.
        only_new: bool,
    },
    /// A field of a hash: 1 cell.
    Field {
        /// Key of the hash.
        key: String,
        /// Its name.
        field: String,
    },
    /// Publishes a message, which nobody may hear: no cell. A server that forbids it to this user is passed over.
    Publish {
        /// The channel.
        channel: String,
        /// What is told.
        message: String,
    },
    /// Changes some fields of a hash and leaves the others: 1 cell, 1 if that was done, else 0 and nothing was.
    Amend {
        /// Key of the hash.
        key: String,
        /// Fields in order, each with its new value; none: it goes.
        fields: Vec<(String, Option<String>)>,
        /// Whether it is made where no hash stands, in the place of what else does; else that is left as it is.
        create: bool,
        /// Past so many fields there is no room for a new one.
        max: u32,
        /// How long it lives afterwards.
        life: Life,
    },
    /// Deletes a key: 0 cells.
    Delete {
        /// The key.
        key: String,
    },
    /// Adds (or removes) a string to the JSON array of strings at `key`: 0 cells. What is no such array starts anew.
    Index {
        /// `worker:index`.
        key: String,
        /// The string.
        member: String,
        /// Most members kept; a new one past it is dropped.
        max: u32,
        /// Remove instead.
        remove: bool,
    },
    /// An operation of one key that counts nothing and watches nothing, in the memory of the process that asks, where that is
    /// another than the store: see [`Home`](super::Home). Whoever has but one place applies it there.
    Local(Box<Self>),
}

/// How long something lives once it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// As before.
    AsBefore,
    /// For ever.
    Forever,
    /// So many ms from now.
    Ms(u64),
}

/// One addition of an [`Op::Tally`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// The field.
    pub field: String,
    /// The field that is added to instead where the hash is full and `field` is not in it; empty: `field` is let in all the same.
    /// Spills are few by the writer's care.
    pub spill: String,
    /// How much; at most `i64::MAX` counts.
    pub by: u64,
}

/// A list of operations that travels as one command. `now_ms` is the time of the asking gateway; the store's own clock
/// does not enter, so that a replay gives the same answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// In order.
    pub ops: Vec<Op>,
}

/// A typed place in the row.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot<T> {
    /// Index of the first cell.
    pub cell: usize,
    /// Index of the operation, for [`Guard`]s.
    pub op: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Slot<T> {}

/// Collects operations and hands out slots.
#[derive(Debug, Default)]
pub struct Ask {
    batch: Batch,
    width: usize,
}

impl Op {
    /// Cells this operation answers with.
    pub fn width(&self) -> usize {
        match self {
            Self::Record { .. } => Record::WIDTH,
            Self::WorkerRecord { .. } => WorkerRecord::WIDTH,
            Self::Spend { .. } | Self::SpendRecord { .. } => Spend::WIDTH,
            Self::Get { .. }
            | Self::Watch { .. }
            | Self::Replace { .. }
            | Self::Workers { .. }
            | Self::Field { .. }
            | Self::Amend { .. }
            | Self::Hash { .. } => 1,
            Self::Tally { .. }
            | Self::Refund { .. }
            | Self::Set { .. }
            | Self::SetHash { .. }
            | Self::Delete { .. }
            | Self::Publish { .. }
            | Self::Index { .. } => 0,
            Self::Local(op) => op.width(),
        }
    }
}

impl Batch {
    /// Cells of the whole row.
    pub fn width(&self) -> usize {
        self.ops.iter().map(Op::width).sum()
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Whether it asks for another version of the configuration.
    pub fn watches(&self) -> bool {
        matches!(self.ops.first(), Some(Op::Watch { .. }))
    }

    /// Whether it asks for nothing but another version of the configuration.
    pub fn only_watches(&self) -> bool {
        self.ops.iter().all(|op| matches!(op, Op::Watch { .. }))
    }

    /// The same without its watch, for a store that holds no configuration: cells keep their places.
    #[must_use]
    pub fn unwatched(&self) -> Self {
        let mut batch = self.clone();
        for op in &mut batch.ops {
            if let Op::Watch { key, .. } = op {
                *op = Op::Get { key: core::mem::take(key) };
            }
        }
        batch
    }

    /// What the store says is another version of the configuration than this batch knows, if it does. Then it has done
    /// nothing else.
    pub fn moved(&self, row: &[Cell]) -> Option<Bytes> {
        match (self.ops.first(), row.first()) {
            (Some(Op::Watch { .. }), Some(Cell::Bytes(text))) => Some(text.clone()),
            _ => None,
        }
    }
}

impl Ask {
    /// An empty list for this moment (unix ms).
    pub fn new(now_ms: u64) -> Self {
        Self { batch: Batch { now_ms, ops: Vec::new() }, width: 0 }
    }

    pub(super) fn push<T>(&mut self, op: Op) -> Slot<T> {
        let slot = Slot { cell: self.width, op: self.batch.ops.len(), kind: PhantomData };
        self.width += op.width();
        self.batch.ops.push(op);
        slot
    }

    /// Ends everything that follows where the string at this key is not of the version that was seen.
    pub fn watch(&mut self, key: String, seen: u64) -> Slot<Bytes> {
        self.push(Op::Watch { key, seen })
    }

    /// Sets a string where what stands there is of the version that was seen.
    pub fn replace(&mut self, key: String, seen: u64, value: String) -> Slot<Replaced> {
        self.push(Op::Replace { key, seen, value })
    }

    /// Asks for a credential's record.
    pub fn record(&mut self, key: String) -> Slot<Record> {
        self.push(Op::Record { key })
    }

    /// Asks for a worker's learned state.
    pub fn worker(&mut self, key: String, presented: String) -> Slot<WorkerRecord> {
        self.push(Op::WorkerRecord { key, presented })
    }

    /// Spends from a limit, together with the other `together` spends.
    pub fn spend(&mut self, limit: LimitSpec, guard: Guard, member: String, together: bool) -> Slot<Spend> {
        self.push(Op::Spend { limit, guard, member, together })
    }

    /// Spends from the limits that a record carries.
    pub fn spend_record(
        &mut self,
        record: Slot<Record>,
        prefix: String,
        fallback: Option<LimitSpec>,
        member: String,
        factor: u32,
    ) -> Slot<Spend> {
        self.push(Op::SpendRecord { record: record.op, prefix, fallback, member, factor })
    }

    /// Asks for a string.
    pub fn get(&mut self, key: String) -> Slot<Bytes> {
        self.push(Op::Get { key })
    }

    /// Asks for the worker list.
    pub fn workers(&mut self, snapshot: String, index: String, max: u32) -> Slot<Workers> {
        self.push(Op::Workers { snapshot, index, max })
    }

    /// Asks for a whole hash of at most `max` fields.
    pub fn hash(&mut self, key: String, max: u32) -> Slot<Hash> {
        self.push(Op::Hash { key, max })
    }

    /// Asks for a field of a hash.
    pub fn field(&mut self, key: String, field: String) -> Slot<Bytes> {
        self.push(Op::Field { key, field })
    }

    /// Changes some fields of a hash. See [`Op::Amend`].
    pub fn amend(
        &mut self,
        key: String,
        fields: Vec<(String, Option<String>)>,
        create: bool,
        max: u32,
        life: Life,
    ) -> Slot<Amended> {
        self.push(Op::Amend { key, fields, create, max, life })
    }

    /// Tells something, with what is asked.
    pub fn tell(&mut self, op: Op) {
        let _: Slot<()> = self.push(op);
    }

    /// The collected operations.
    pub fn into_batch(self) -> Batch {
        self.batch
    }
}
