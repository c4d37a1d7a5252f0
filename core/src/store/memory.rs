//! The embedded store: the meaning of `script.lua` in Rust, over ordered maps of bounded size.
//!
//! It has no clock: its time is the latest [`Batch::now_ms`] it was told, and that is what keys expire by. Limits are judged by the
//! batch's own time, as in the script. A forgotten limit and a fresh one are the same once its windows are over, so
//! limits are kept [`MemoryLimits::skew_ms`] longer: a clock that goes back by less finds all it had counted.
//!
//! Each kind of key is bounded by itself, so that the cache can never push out a limit or a credential. Where a kind is full:
//! the cache loses what was read least recently; limits lose the one that expires first; records and other strings lose the one that expires
//! first, and where none ever expires the new one is not kept.

mod json;
mod keys;
mod log;
mod spends;
#[cfg(test)]
mod tests;

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use bytes::Bytes;

use super::{Add, Batch, Cell, Life, Op, Record, script::worker_base, version_of};
use crate::gather::gather;
pub(super) use json::strings;
use keys::{Keys, Value};
use spends::Group;

/// How much the embedded store may hold, per kind of key. Bytes include an estimate of what the maps take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Records of credentials and workers (hashes).
    pub records: usize,
    /// Bytes of those.
    pub record_bytes: usize,
    /// Limits being counted.
    pub limiters: usize,
    /// Bytes of those; one `sliding-log` by itself may exceed this, up to its own limit.
    pub limiter_bytes: usize,
    /// Cached responses.
    pub cache_entries: usize,
    /// Bytes of those.
    pub cache_bytes: usize,
    /// All other strings: owners of jobs, states of workers, configuration.
    pub strings: usize,
    /// Bytes of those.
    pub string_bytes: usize,
    /// Keys of cached responses begin so.
    pub cache_prefix: String,
    /// How far a clock may go back without a limit being forgotten.
    pub skew_ms: u64,
}

impl Default for MemoryLimits {
    /// Some 128 MiB if everything were full.
    fn default() -> Self {
        Self {
            records: 100_000,
            record_bytes: 32 << 20,
            limiters: 100_000,
            limiter_bytes: 32 << 20,
            cache_entries: 1000,
            cache_bytes: 32 << 20,
            strings: 100_000,
            string_bytes: 32 << 20,
            cache_prefix: "gateway:cache:".into(),
            skew_ms: 60_000,
        }
    }
}

/// How full the embedded store is, in keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Records of credentials and workers.
    pub records: usize,
    /// Limits.
    pub limiters: usize,
    /// Cached responses.
    pub cache_entries: usize,
    /// Other strings.
    pub strings: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// A store in this process.
#[derive(Debug)]
pub struct Memory {
    keys: Keys,
}

/// The cells given out so far, and what the batch's later operations need of its earlier ones.
struct Row {
    cells: Vec<Cell>,
    /// What live records say of limits, by first cell.
    carried: BTreeMap<usize, Carried>,
}

/// The two fields of a record that are not answered with.
#[derive(Clone, Default)]
struct Carried {
    limits: String,
    daily: String,
}

impl Memory {
    /// An empty store.
    pub fn new(limits: MemoryLimits) -> Self {
        Self { keys: Keys::new(limits) }
    }

    /// Answers a batch: a row of [`Batch::width`] cells.
    pub fn apply(&mut self, batch: &Batch) -> Vec<Cell> {
        let now = batch.clamped_now();
        self.keys.tick(now);
        let mut row = Row { cells: Vec::with_capacity(batch.width()), carried: BTreeMap::new() };
        let last = batch.last_together();
        for (at, op) in batch.ops.iter().enumerate() {
            let op = op.bare();
            match op {
                Op::Spend { .. } | Op::SpendRecord { .. } => {
                    row.cells.resize(row.cells.len() + op.width(), Cell::Nil);
                    if !op.is_together() {
                        let mut group = Group::new(now);
                        group.judge(&self.keys, batch, at, &row);
                        group.settle(&mut self.keys, &mut row.cells);
                    } else if last == Some(at) {
                        let mut group = Group::new(now);
                        let together = batch.ops.iter().enumerate().filter(|(_, op)| op.is_together());
                        together.for_each(|(at, _)| group.judge(&self.keys, batch, at, &row));
                        group.settle(&mut self.keys, &mut row.cells);
                    }
                }
                Op::Record { key } => self.record(key, now, &mut row),
                Op::WorkerRecord { key, presented } => {
                    row.cells.push(Cell::Int(self.worker(key, presented, now)));
                }
                Op::Watch { key, seen } => {
                    let text = self.keys.text(key).unwrap_or_default();
                    if version_of(&text) != *seen {
                        row.cells.push(Cell::Bytes(text));
                        row.cells.resize(batch.width(), Cell::Nil);
                        return row.cells;
                    }
                    row.cells.push(Cell::Nil);
                }
                Op::Replace { key, seen, value } => {
                    let text = self.keys.text(key).unwrap_or_default();
                    if version_of(&text) == *seen {
                        self.keys.remove(key);
                        self.keys.put(
                            key,
                            Value::Text(Bytes::copy_from_slice(value.as_bytes())),
                            self.keys.after(None),
                        );
                        row.cells.push(Cell::Int(1));
                    } else {
                        row.cells.push(Cell::Bytes(text));
                    }
                }
                Op::Get { key } => row.cells.push(self.keys.text(key).map_or(Cell::Nil, Cell::Bytes)),
                Op::Workers { snapshot, index, max } => {
                    let snapshot = self.keys.text(snapshot).filter(|text| !text.is_empty());
                    let text = snapshot.unwrap_or_else(|| self.workers(index, *max));
                    row.cells.push(Cell::Bytes(text));
                }
                Op::Field { key, field } => {
                    let value = self.keys.hash(key).and_then(|fields| fields.get(field));
                    row.cells.push(value.map_or(Cell::Nil, |value| Cell::Bytes(value.clone().into())));
                }
                Op::Amend { key, fields, create, max, life } => {
                    let done = self.amend(key, fields, *create, *max, *life);
                    row.cells.push(Cell::Int(done.into()));
                }
                Op::Hash { key, max } => row.cells.push(self.hash(key, *max).map_or(Cell::Nil, Cell::Bytes)),
                _ => self.change(op),
            }
        }
        row.cells
    }

    /// How full it is.
    pub fn usage(&self) -> MemoryUse {
        self.keys.usage()
    }

    /// The operations that answer nothing.
    fn change(&mut self, op: &Op) {
        match op {
            Op::Refund { key, member } => self.keys.refund(key, member),
            Op::Set { key, value, ttl_ms, only_new } if !*only_new || !self.keys.has(key) => {
                let expires = self.keys.after(*ttl_ms);
                self.keys.put(key, Value::Text(value.clone()), expires);
            }
            Op::SetHash { key, fields, ttl_ms, only_new } if !*only_new || self.lacks(key, fields) => {
                self.keys.remove(key);
                if !fields.is_empty() {
                    let expires = self.keys.after(*ttl_ms);
                    self.keys.put(key, Value::Hash(gather(fields.iter().cloned())), expires);
                }
            }
            Op::Tally { key, adds, max, ttl_ms } if !adds.is_empty() => self.tally(key, adds, *max, *ttl_ms),
            Op::Delete { key } => self.keys.remove(key),
            Op::Index { key, member, max, remove } => self.index(key, member, *max, *remove),
            // INVARIANT: `apply` handles every operation that answers.
            _ => {}
        }
    }

    fn hash(&self, key: &str, max: u32) -> Option<Bytes> {
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        let fields = self.keys.hash(key).filter(|fields| !fields.is_empty() && fields.len() <= most)?;
        let mut out = vec![b'['];
        let words: Vec<_> = fields.iter().flat_map(|(field, value)| [field, value]).collect();
        json::join(&mut out, &words, |out, word| json::quote(word.as_bytes(), out));
        out.push(b']');
        Some(out.into())
    }

    fn tally(&mut self, key: &str, adds: &[Add], max: u32, ttl_ms: u64) {
        let most = usize::try_from(max).unwrap_or(usize::MAX);
        let mut fields = match self.keys.take(key) {
            Some(Value::Hash(fields)) => fields,
            _ => BTreeMap::new(),
        };
        for add in adds {
            let full = !add.spill.is_empty() && fields.len() >= most && !fields.contains_key(&add.field);
            let field = if full { &add.spill } else { &add.field };
            let by = i64::try_from(add.by).unwrap_or(i64::MAX);
            let sum =
                fields.get(field).and_then(|value| integer(value)).and_then(|value| value.checked_add(by));
            fields.insert(field.clone(), sum.unwrap_or(by).to_string());
        }
        let expires = self.keys.after(Some(ttl_ms));
        self.keys.put(key, Value::Hash(fields), expires);
    }

    fn amend(
        &mut self,
        key: &str,
        fields: &[(String, Option<String>)],
        create: bool,
        max: u32,
        life: Life,
    ) -> bool {
        let known = self.keys.hash(key).filter(|known| !known.is_empty());
        let is_new = |name: &String| known.is_none_or(|known| !known.contains_key(name));
        let added = fields.iter().filter(|(name, value)| value.is_some() && is_new(name)).count();
        let size = known.map_or(0, BTreeMap::len).saturating_add(added);
        let is_full = added > 0 && size > usize::try_from(max).unwrap_or(usize::MAX);
        if is_full || !(known.is_some() || create) {
            return false;
        }
        let expires = match life {
            Life::AsBefore if known.is_some() => self.keys.expiry(key),
            Life::AsBefore | Life::Forever => None,
            Life::Ms(ttl_ms) => self.keys.after(Some(ttl_ms)),
        };
        let mut hash = match self.keys.take(key) {
            Some(Value::Hash(hash)) => hash,
            _ => BTreeMap::new(),
        };
        for (name, value) in fields {
            match value {
                Some(value) => hash.insert(name.clone(), value.clone()),
                None => hash.remove(name),
            };
        }
        if !hash.is_empty() {
            self.keys.put(key, Value::Hash(hash), expires);
        }
        true
    }

    /// Whether the first of these fields is not set yet.
    fn lacks(&self, key: &str, fields: &[(String, String)]) -> bool {
        let known = |name: &String| self.keys.hash(key).is_some_and(|known| known.contains_key(name));
        fields.first().is_some_and(|(name, _)| !known(name))
    }

    fn record(&self, key: &str, now: u64, row: &mut Row) {
        let fields = self.keys.hash(key);
        let field = |name: &str| fields.and_then(|fields| fields.get(name));
        let exists = FIELDS.iter().chain(&HIDDEN).any(|name| field(name).is_some());
        let live = exists
            && field("enabled").is_none_or(|enabled| enabled != "0")
            && in_force(field("expires_at"), now);
        if live {
            let text = |name: &str| field(name).cloned().unwrap_or_default();
            let carried = Carried { limits: text("limits"), daily: text("daily_limit") };
            row.carried.insert(row.cells.len(), carried);
        }
        row.cells.push(Cell::Int(live.into()));
        let cell = |name: &&str| {
            field(name).map_or(Cell::Nil, |text| Cell::Bytes(Bytes::copy_from_slice(text.as_bytes())))
        };
        row.cells.extend(FIELDS.iter().map(cell));
    }

    fn worker(&self, key: &str, presented: &str, now: u64) -> i64 {
        let fields = self.keys.hash(key);
        let field = |name: &str| fields.and_then(|fields| fields.get(name));
        match field("hash").filter(|hash| !hash.is_empty() && in_force(field("expires_at"), now)) {
            None => 0,
            Some(hash) if hash == presented => 1,
            Some(_) => 2,
        }
    }

    fn workers(&mut self, index: &str, max: u32) -> Bytes {
        let raw = self.keys.text(index);
        let mut ids = raw.and_then(|raw| strings(&raw)).unwrap_or_default();
        ids.truncate(usize::try_from(max).unwrap_or(usize::MAX));
        let base = worker_base(index);
        let mut out = Vec::from(&b"{\"ids\":["[..]);
        json::join(&mut out, &ids, |out, id| json::quote(id.as_bytes(), out));
        for what in ["status", "gpu", "heartbeat"] {
            out.extend_from_slice(b"],\"");
            out.extend_from_slice(what.as_bytes());
            out.extend_from_slice(b"\":[");
            json::join(&mut out, &ids, |out, id| match self.keys.text(&[base, id, ":", what].concat()) {
                Some(text) => json::quote(&text, out),
                None => out.extend_from_slice(b"false"),
            });
        }
        out.extend_from_slice(b"]}");
        out.into()
    }

    fn index(&mut self, key: &str, member: &str, max: u32, remove: bool) {
        let raw = self.keys.text(key);
        let expires = if raw.is_some() { self.keys.expiry(key) } else { None };
        let mut list = raw.and_then(|raw| strings(&raw)).unwrap_or_default();
        let found = list.iter().any(|known| known == member);
        if remove && found {
            list.retain(|known| known != member);
        } else if !remove && !found && list.len() < usize::try_from(max).unwrap_or(usize::MAX) {
            list.push(member.into());
        } else {
            return;
        }
        let mut out = vec![b'['];
        json::join(&mut out, &list, |out, known| json::quote(known.as_bytes(), out));
        out.push(b']');
        self.keys.put(key, Value::Text(out.into()), expires);
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

/// Whether an `expires_at` lets the rest stand. One that is no number does not: better refused than for ever.
fn in_force(expires_at: Option<&String>, now: u64) -> bool {
    match expires_at.map(String::as_str) {
        None | Some("") => true,
        Some(text) => text.len() <= 15 && whole(text).is_some_and(|expires_at| expires_at > now),
    }
}

/// A whole number as Redis writes it.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|value: &i64| value.to_string() == text)
}

/// Decimal digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The answered fields of a record, in the order of its cells after the first.
const FIELDS: [&str; Record::WIDTH - 1] = ["id", "name", "tenant", "role", "worker_id", "routes", "ip_allow"];

/// The other fields.
const HIDDEN: [&str; 4] = ["enabled", "expires_at", "limits", "daily_limit"];
