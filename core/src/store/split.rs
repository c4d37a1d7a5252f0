//! A batch for Redis Cluster, where the keys of one call must share a hash slot.
//!
//! The operations are grouped by slot; the groups are sent at the same time and their rows laid together. `{…}` in a key keeps what must be judged
//! together in one group: a credential's record and its limits carry the same tag. `together` then holds per group.
//!
//! A spend whose guard refers to a record of another group cannot be judged where it lives. [`Split::second`] gives those
//! whose guard turned out to hold, once the first rows are there. That, and a worker list without a snapshot
//! ([`Split::rosters`]), are the only cases of a second round trip, and only in a cluster.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::{
    Batch, Cell, Guard, Op, Roster,
    part::{Building, Part},
    script::Test,
};

/// One call of a split batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotGroup {
    /// Hash slot of all its keys.
    pub slot: u16,
    /// What to ask there.
    pub part: Part,
}

/// A batch taken apart by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To be sent at once, together.
    pub first: Vec<SlotGroup>,
    /// Spends that wait for a cell of the first rows.
    waiting: Vec<(Test, u16, Op, usize)>,
    /// Worker lists; of each, `first` reads the snapshot alone.
    pub rosters: Vec<Roster>,
    width: usize,
    now_ms: u64,
}

impl Batch {
    /// Groups the operations by the hash slot of their keys.
    pub fn split_by_slot(&self) -> Split {
        let mut groups: BTreeMap<u16, Building> = BTreeMap::new();
        let mut split = Split { width: self.width(), now_ms: self.now_ms, ..Split::default() };
        // Slot and place within its group of each operation: what later guards refer to.
        let mut places: Vec<(u16, usize)> = Vec::with_capacity(self.ops.len());
        let mut cell = 0;
        for (at, op) in self.ops.iter().enumerate() {
            let slot = match op {
                Op::SpendRecord { record, .. } if *record < at => {
                    places.get(*record).map_or(0, |place| place.0)
                }
                _ => slot(op.key()),
            };
            let width = op.width();
            let mut op = op.clone();
            let mut waits = None;
            match &mut op {
                Op::Spend { guard, .. } => {
                    if let Some(record) = guard.op_mut() {
                        match places.get(*record) {
                            Some((home, place)) if *home == slot => *record = *place,
                            _ => {
                                waits = Some(self.test(at, *guard));
                                *guard = Guard::Always;
                            }
                        }
                    }
                }
                Op::SpendRecord { record, .. } => {
                    *record = places.get(*record).map_or(usize::MAX, |place| place.1);
                }
                // The other keys of the worker list may live on other nodes.
                Op::Workers { snapshot, index, max } => {
                    split.rosters.push(Roster { cell, index: core::mem::take(index), max: *max });
                    op = Op::Get { key: core::mem::take(snapshot) };
                }
                _ => {}
            }
            let place = match waits {
                Some(test) => {
                    split.waiting.push((test, slot, op, cell));
                    usize::MAX
                }
                None => groups.entry(slot).or_default().push(op, cell),
            };
            places.push((slot, place));
            cell += width;
        }
        split.first = groups
            .into_iter()
            .map(|(slot, group)| SlotGroup { slot, part: group.done(self.now_ms) })
            .collect();
        split
    }
}

impl Split {
    /// An empty row to [`place`](Part::place) the groups' rows in.
    pub fn row(&self) -> Vec<Cell> {
        vec![Cell::Nil; self.width]
    }

    /// What is to be asked now that the first rows are in place; mostly nothing.
    pub fn second(&self, row: &[Cell]) -> Vec<SlotGroup> {
        let mut groups: BTreeMap<u16, Building> = BTreeMap::new();
        for (test, slot, op, cell) in &self.waiting {
            if let Test::Cell { cell: judged, equals } = test
                && row.get(*judged) == Some(&Cell::Int((*equals).into()))
            {
                groups.entry(*slot).or_default().push(op.clone(), *cell);
            }
        }
        groups.into_iter().map(|(slot, group)| SlotGroup { slot, part: group.done(self.now_ms) }).collect()
    }
}

impl Op {
    /// The key that decides where this is asked; the record's for limits that a record carries.
    fn key(&self) -> &str {
        match self {
            Self::Spend { limit, .. } => &limit.key,
            Self::Workers { snapshot: key, .. }
            | Self::SpendRecord { prefix: key, .. }
            | Self::Record { key }
            | Self::WorkerRecord { key, .. }
            | Self::Get { key }
            | Self::Watch { key, .. }
            | Self::Replace { key, .. }
            | Self::Hash { key, .. }
            | Self::Field { key, .. }
            | Self::Amend { key, .. }
            | Self::Tally { key, .. }
            | Self::Refund { key, .. }
            | Self::Set { key, .. }
            | Self::SetHash { key, .. }
            | Self::Delete { key }
            | Self::Publish { channel: key, .. }
            | Self::Index { key, .. } => key,
            Self::Local(op) => op.key(),
        }
    }
}

/// The hash slot of a key: CRC-16 of its tag, the first `{…}` that is not empty, or of all of it (Redis Cluster
/// specification, "Hash tags").
pub fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    let crc = hashed.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 }
        })
    });
    crc % 16384
}

#[cfg(test)]
mod tests;
