//! Where operations belong: in the store that all gateways share, or in the asking process's own memory. A batch that is for both is
//! taken apart ([`Batch::homes`]); whoever carries batches sends one part, applies the other, and lays the rows together.

use alloc::{boxed::Box, string::String, vec, vec::Vec};
use bytes::Bytes;

use super::{
    Ask, Batch, Cell, Hash, Op, Slot,
    part::{Building, Part},
};
use crate::config::CacheBackend;

/// Where something is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Home {
    /// In the store.
    #[default]
    Store,
    /// In the memory of the process, or of the instance, that asks.
    Process,
}

/// A batch taken apart by home. Either part may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homes {
    /// For the store.
    pub store: Part,
    /// For the process's own memory: applied after the store has answered, and not at all where it says that the configuration
    /// was changed ([`Batch::moved`]).
    pub process: Part,
    width: usize,
}

impl From<CacheBackend> for Home {
    fn from(backend: CacheBackend) -> Self {
        match backend {
            CacheBackend::Store => Self::Store,
            CacheBackend::Memory => Self::Process,
        }
    }
}

impl Home {
    /// An operation of one key, at this home.
    #[must_use]
    pub fn of(self, op: Op) -> Op {
        match self {
            Self::Store => op,
            Self::Process => Op::Local(Box::new(op)),
        }
    }
}

impl Op {
    /// What is to be done, wherever that is.
    pub fn bare(&self) -> &Self {
        match self {
            Self::Local(op) => op.bare(),
            op => op,
        }
    }

    fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}

impl Ask {
    /// Asks for a string that is kept there.
    pub fn get_at(&mut self, home: Home, key: String) -> Slot<Bytes> {
        self.push(home.of(Op::Get { key }))
    }

    /// Asks for a whole hash of at most `max` fields that is kept there.
    pub fn hash_at(&mut self, home: Home, key: String, max: u32) -> Slot<Hash> {
        self.push(home.of(Op::Hash { key, max }))
    }
}

impl Batch {
    /// The parts for the store and for the process's own memory; none where all of it is for the store.
    pub fn homes(&self) -> Option<Homes> {
        if !self.ops.iter().any(Op::is_local) {
            return None;
        }
        let (mut store, mut process) = (Building::default(), Building::default());
        // Places in the store's part: what its guards refer to. A guard that refers to the other part never holds.
        let mut places = Vec::with_capacity(self.ops.len());
        let mut cell = 0;
        for op in &self.ops {
            let place = if op.is_local() {
                process.push(op.bare().clone(), cell);
                usize::MAX
            } else {
                store.push(op.referring(|to| places.get(to).copied().unwrap_or(usize::MAX)), cell)
            };
            places.push(place);
            cell += op.width();
        }
        let (store, process) = (store.done(self.now_ms), process.done(self.now_ms));
        Some(Homes { store, process, width: cell })
    }

    /// Whether it asks the store for anything but another version of the configuration.
    pub fn needs_store(&self) -> bool {
        self.ops.iter().any(|op| !op.is_local() && !matches!(op, Op::Watch { .. }))
    }
}

impl Homes {
    /// An empty row to [`place`](Part::place) the parts' rows in.
    pub fn row(&self) -> Vec<Cell> {
        vec![Cell::Nil; self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Algorithm,
        store::{Guard, LimitSpec, Memory},
    };

    fn limit() -> LimitSpec {
        LimitSpec { key: "l".into(), algorithm: Algorithm::FixedWindow, limit: 5, window_ms: 1000, cost: 1 }
    }

    fn set(key: &str, value: &'static str) -> Op {
        Op::Set {
            key: key.into(),
            value: Bytes::from_static(value.as_bytes()),
            ttl_ms: None,
            only_new: false,
        }
    }

    /// Both parts applied to a store each, as a driver does it.
    fn apart(batch: &Batch, store: &mut Memory, own: &mut Memory) -> Vec<Cell> {
        let homes = batch.homes().unwrap();
        let mut row = homes.row();
        let cells = store.apply(&homes.store.batch);
        let moved = homes.store.batch.moved(&cells).is_some();
        homes.store.place(cells, &mut row);
        if !moved {
            homes.process.place(own.apply(&homes.process.batch), &mut row);
        }
        row
    }

    #[test]
    fn a_batch_answers_the_same_whole_and_by_home() {
        let records = |known: bool| {
            let fields = vec![("id".into(), "1".into()), ("limits".into(), LIMITS.into())];
            let record = Op::SetHash { key: "k".into(), fields, ttl_ms: None, only_new: false };
            Batch { now_ms: 1, ops: if known { vec![record] } else { vec![set("other", "x")] } }
        };
        const LIMITS: &str = r#"[{"name":"own","limit":3,"window_ms":1000}]"#;
        for (known, first) in [(true, true), (true, false), (false, true), (false, false)] {
            let (mut store, mut own, mut whole) = (Memory::default(), Memory::default(), Memory::default());
            for memory in [&mut store, &mut whole] {
                memory.apply(&records(known));
            }
            for memory in [&mut own, &mut whole] {
                memory.apply(&Batch { now_ms: 1, ops: vec![set("c", "cached")] });
            }
            let mut ask = Ask::new(5000);
            ask.watch("config".into(), 0);
            // A cache that was put before whoever finds out who asks moves the places of what comes after it.
            let slot = first.then(|| ask.get_at(Home::Process, "c".into()));
            let record = ask.record("k".into());
            ask.spend(limit(), Guard::IfLive(record.op), "m".into(), true);
            ask.spend_record(record, "own:".into(), None, "m".into(), 1);
            let slot = slot.unwrap_or_else(|| ask.get_at(Home::Process, "c".into()));
            ask.hash_at(Home::Process, "purges".into(), 9);
            ask.tell(Home::Process.of(set("d", "local")));
            ask.tell(set("e", "shared"));
            let batch = ask.into_batch();
            let row = apart(&batch, &mut store, &mut own);
            assert_eq!(row, whole.apply(&batch), "{known} {first}");
            assert_eq!(row[slot.cell], Cell::Bytes(Bytes::from_static(b"cached")));
            let get = |key: &str| Batch { now_ms: 5000, ops: vec![Op::Get { key: key.into() }] };
            let mut has =
                |key: &str| (store.apply(&get(key))[0] != Cell::Nil, own.apply(&get(key))[0] != Cell::Nil);
            assert_eq!((has("d"), has("e")), ((false, true), (true, false)));
        }
    }

    #[test]
    fn nothing_is_written_here_where_the_configuration_was_changed() {
        let (mut store, mut own) = (Memory::default(), Memory::default());
        store.apply(&Batch { now_ms: 1, ops: vec![set("config", "{\"version\":7,\"at\":1}")] });
        let mut ask = Ask::new(5000);
        ask.watch("config".into(), 6);
        ask.tell(Home::Process.of(set("c", "x")));
        let batch = ask.into_batch();
        let row = apart(&batch, &mut store, &mut own);
        assert!(batch.moved(&row).is_some());
        assert_eq!(own.usage().strings, 0);
    }

    #[test]
    fn what_is_for_whom() {
        let check = |ops: Vec<Op>, needs: bool, parts: Option<(usize, usize)>| {
            let batch = Batch { now_ms: 1, ops };
            assert_eq!(batch.needs_store(), needs, "{batch:?}");
            let count = |homes: Homes| (homes.store.batch.ops.len(), homes.process.batch.ops.len());
            assert_eq!(batch.homes().map(count), parts, "{batch:?}");
        };
        let watch = || Op::Watch { key: "config".into(), seen: 0 };
        let local = || Home::Process.of(Op::Get { key: "c".into() });
        check(vec![], false, None);
        check(vec![watch()], false, None);
        check(vec![watch(), Op::Get { key: "a".into() }], true, None);
        check(vec![local()], false, Some((0, 1)));
        check(vec![watch(), local()], false, Some((1, 1)));
        check(vec![watch(), local(), Op::Get { key: "a".into() }, local()], true, Some((2, 2)));
        assert_eq!(Home::Store.of(watch()), watch());
    }
}
