//! The worker list put together from single reads, for a Redis Cluster, where its keys live apart: [`Op::Workers`] in
//! parts. The answer is the same document, though not of one moment.
//!
//! [`Op::Workers`]: super::Op::Workers

use alloc::{string::String, vec::Vec};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{memory::strings, script::worker_base};

/// A worker list that a split batch asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// Its cell in the whole row: the snapshot, where there is one.
    pub cell: usize,
    /// Key of the JSON array of ids.
    pub index: String,
    /// Most ids read.
    pub max: u32,
}

impl Roster {
    /// The ids in what stands at the index.
    pub fn ids(&self, raw: Option<&[u8]>) -> Vec<String> {
        let mut ids = raw.and_then(strings).unwrap_or_default();
        ids.truncate(usize::try_from(self.max).unwrap_or(usize::MAX));
        ids
    }

    /// The keys to read, in the order in which [`document`](Self::document) takes their values.
    pub fn keys(&self, ids: &[String]) -> Vec<String> {
        let base = worker_base(&self.index);
        let key = |what: &&str, id: &String| [base, id, ":", what].concat();
        COLUMNS.iter().flat_map(|what| ids.iter().map(move |id| key(what, id))).collect()
    }

    /// The cell's value, from what stands at the keys.
    pub fn document(ids: &[String], values: &[Option<Bytes>]) -> Bytes {
        let mut columns = values.chunks(ids.len().max(1)).map(|column| -> Value {
            let text = |value: &Bytes| Value::String(String::from_utf8_lossy(value).into_owned());
            column.iter().map(|value| value.as_ref().map_or(Value::Bool(false), text)).collect()
        });
        let mut next = || columns.next().unwrap_or_else(|| Value::Array(Vec::new()));
        let [status, gpu, heartbeat] = COLUMNS.map(|_| next());
        let document = json!({ "ids": ids, "status": status, "gpu": gpu, "heartbeat": heartbeat });
        alloc::string::ToString::to_string(&document).into()
    }
}

const COLUMNS: [&str; 3] = ["status", "gpu", "heartbeat"];

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec, vec::Vec};
    use serde_json::Value;

    use super::Roster;
    use crate::store::{Ask, Batch, Cell, Cells, Memory, Op};

    fn set(key: &str, value: &str) -> Op {
        Op::Set { key: key.into(), value: value.to_string().into(), ttl_ms: None, only_new: false }
    }

    #[test]
    fn in_parts_as_in_one() {
        let check = |ops: Vec<Op>| {
            let mut store = Memory::default();
            store.apply(&Batch { now_ms: 1, ops });
            let mut ask = Ask::new(1);
            let slot = ask.workers("snapshot".into(), "worker:index".into(), 3);
            let batch = ask.into_batch();
            let whole = Cells(&store.apply(&batch)).workers(slot).unwrap();
            let split = batch.split_by_slot();
            let [roster] = split.rosters.as_slice() else { panic!("{split:?}") };
            assert_eq!(roster.cell, slot.cell);
            let mut read = |key: &str| {
                let ops = vec![Op::Get { key: key.into() }];
                match store.apply(&Batch { now_ms: 1, ops }).remove(0) {
                    Cell::Bytes(value) => Some(value),
                    _ => None,
                }
            };
            let ids = roster.ids(read(&roster.index).as_deref());
            let values: Vec<_> = roster.keys(&ids).iter().map(|key| read(key)).collect();
            let parsed = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
            assert_eq!(parsed(&Roster::document(&ids, &values)), parsed(&whole));
        };
        check(vec![]);
        check(vec![set("worker:index", "no array")]);
        let index = set("worker:index", "[\"a\",\"b\",1,\"c\",\"d\"]");
        check(vec![index.clone()]);
        check(vec![
            index,
            set("worker:a:status", "{\"status\":\"busy\"}"),
            set("worker:c:gpu", "\"\u{7f}"),
            set("worker:c:heartbeat", "17"),
            set("worker:d:status", "past the bound"),
        ]);
    }
}
