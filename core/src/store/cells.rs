//! What the store answers, read through the slots that [`Ask`](super::Ask) gave.

use alloc::{string::String, vec::Vec};
use bytes::Bytes;

use super::{Cell, Slot};

/// The row, read through slots.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a>(pub &'a [Cell]);

/// A credential's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Exists, is enabled, has not expired.
    pub live: bool,
    /// Record id; empty if there is no record.
    pub id: String,
    /// Human name.
    pub name: String,
    /// Owner of jobs.
    pub tenant: String,
    /// `admin`, or empty.
    pub role: String,
    /// Set where this is the record of a worker's token.
    pub worker_id: String,
    /// JSON array of allowed path patterns; empty: all.
    pub routes: String,
    /// JSON array of CIDRs; empty: all.
    pub ip_allow: String,
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerRecord {
    /// No current token is known.
    #[default]
    Unknown,
    /// The presented token is the current one.
    Matches,
    /// Another token is the current one.
    Differs,
}

/// What became of a spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Whether this limit admits the request.
    pub admitted: bool,
    /// Units per window.
    pub limit: u32,
    /// Units left after this request.
    pub remaining: u32,
    /// Unix ms at which `remaining` is full again (for windows: the border).
    pub reset_ms: u64,
    /// Ms until a request of this cost can be admitted; 0 if admitted.
    pub retry_after_ms: u64,
    /// Window length.
    pub window_ms: u64,
    /// Name of the tightest limit of a record; empty for plain spends.
    pub name: String,
}

/// Marks a slot with the worker list's one cell.
#[derive(Clone, Copy, Debug)]
pub struct Workers;

/// Marks a slot with the fields of a hash, in one cell.
#[derive(Clone, Copy, Debug)]
pub struct Hash;

/// Marks a slot that says whether a hash was changed.
#[derive(Clone, Copy, Debug)]
pub struct Amended;

/// What became of an [`Op::Replace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It was written.
    Written,
    /// Somebody else has written this before; empty: it was deleted.
    Lost(Bytes),
}

impl Record {
    /// Cells per record: live, id, name, tenant, role, worker_id, routes, ip_allow.
    pub const WIDTH: usize = 8;
}

impl WorkerRecord {
    /// One cell: 0 unknown, 1 matches, 2 differs.
    pub const WIDTH: usize = 1;
}

impl Spend {
    /// Cells per spend: admitted, limit, remaining, reset_ms, retry_after_ms, window_ms, name.
    pub const WIDTH: usize = 7;
}

impl Cells<'_> {
    fn at(&self, index: usize) -> &Cell {
        self.0.get(index).unwrap_or(&Cell::Nil)
    }

    fn int(&self, index: usize) -> Option<i64> {
        match self.at(index) {
            Cell::Int(value) => Some(*value),
            Cell::Bytes(text) => core::str::from_utf8(text).ok()?.parse().ok(),
            Cell::Nil => None,
        }
    }

    fn unsigned<T: TryFrom<i64> + Default>(&self, index: usize) -> T {
        self.int(index).and_then(|value| T::try_from(value).ok()).unwrap_or_default()
    }

    fn text(&self, index: usize) -> String {
        match self.at(index) {
            Cell::Bytes(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        }
    }

    /// Reads a record.
    pub fn record(&self, slot: Slot<Record>) -> Record {
        let at = slot.cell;
        Record {
            live: self.int(at) == Some(1),
            id: self.text(at + 1),
            name: self.text(at + 2),
            tenant: self.text(at + 3),
            role: self.text(at + 4),
            worker_id: self.text(at + 5),
            routes: self.text(at + 6),
            ip_allow: self.text(at + 7),
        }
    }

    /// Reads a worker's state.
    pub fn worker(&self, slot: Slot<WorkerRecord>) -> WorkerRecord {
        match self.int(slot.cell) {
            Some(1) => WorkerRecord::Matches,
            Some(2) => WorkerRecord::Differs,
            _ => WorkerRecord::Unknown,
        }
    }

    /// Reads a spend; none where its guard did not hold.
    pub fn spend(&self, slot: Slot<Spend>) -> Option<Spend> {
        let at = slot.cell;
        let admitted = self.int(at)? == 1;
        Some(Spend {
            admitted,
            limit: self.unsigned(at + 1),
            remaining: self.unsigned(at + 2),
            reset_ms: self.unsigned(at + 3),
            retry_after_ms: self.unsigned(at + 4),
            window_ms: self.unsigned(at + 5),
            name: self.text(at + 6),
        })
    }

    /// Reads a string.
    pub fn bytes(&self, slot: Slot<Bytes>) -> Option<Bytes> {
        self.raw(slot.cell)
    }

    /// Reads what became of a replacement; one that is unknown is none.
    pub fn replaced(&self, slot: Slot<Replaced>) -> Replaced {
        if self.int(slot.cell) == Some(1) {
            return Replaced::Written;
        }
        Replaced::Lost(self.raw(slot.cell).unwrap_or_default())
    }

    /// Reads the worker list's document.
    pub fn workers(&self, slot: Slot<Workers>) -> Option<Bytes> {
        self.raw(slot.cell)
    }

    /// Reads a hash: fields and values in turn.
    pub fn hash(&self, slot: Slot<Hash>) -> Option<Vec<String>> {
        serde_json::from_slice(&self.raw(slot.cell)?).ok()
    }

    /// Whether a hash was changed.
    pub fn amended(&self, slot: Slot<Amended>) -> bool {
        self.int(slot.cell) == Some(1)
    }

    fn raw(&self, index: usize) -> Option<Bytes> {
        match self.at(index) {
            Cell::Bytes(value) => Some(value.clone()),
            _ => None,
        }
    }
}
