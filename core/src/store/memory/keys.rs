//! All keys, with their expiry and the bounds of each kind.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
};
use bytes::Bytes;

use super::{super::limiter::State, MemoryLimits, MemoryUse, log::Log};
use crate::{config::Algorithm, store::script::clamped_ttl};

/// What stands at a key.
#[derive(Debug)]
pub(super) enum Value {
    Text(Bytes),
    Hash(BTreeMap<String, String>),
    Limit { algorithm: Algorithm, window: u64, state: State },
    Log { window: u64, log: Log },
}

/// Every key; a key holds one value, whatever its kind.
#[derive(Debug)]
pub(super) struct Keys {
    map: BTreeMap<Arc<str>, Entry>,
    records: Shelf,
    limiters: Shelf,
    cache: Shelf,
    strings: Shelf,
    cache_prefix: String,
    skew_ms: u64,
    /// The latest time told.
    clock: u64,
    /// Counts reads, for the cache's order.
    reads: u64,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    kind: Kind,
    /// Unix ms; never: `u64::MAX`.
    expires: u64,
    bytes: usize,
    read: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Record,
    Limiter,
    Cache,
    Text,
}

/// The keys of one kind: how many, and which goes first.
#[derive(Debug)]
struct Shelf {
    max_keys: usize,
    max_bytes: usize,
    bytes: usize,
    /// By time of expiry, those that never expire last.
    by_expiry: BTreeSet<(u64, Arc<str>)>,
    /// By last read; kept for the cache alone.
    by_read: BTreeSet<(u64, Arc<str>)>,
}

impl Keys {
    pub(super) fn new(limits: MemoryLimits) -> Self {
        Self {
            map: BTreeMap::new(),
            records: Shelf::new(limits.records, limits.record_bytes),
            limiters: Shelf::new(limits.limiters, limits.limiter_bytes),
            cache: Shelf::new(limits.cache_entries, limits.cache_bytes),
            strings: Shelf::new(limits.strings, limits.string_bytes),
            cache_prefix: limits.cache_prefix,
            skew_ms: limits.skew_ms,
            clock: 0,
            reads: 0,
        }
    }

    /// Takes note of the time, and sweeps a few expired keys of each kind: more than one batch can add.
    pub(super) fn tick(&mut self, now: u64) {
        self.clock = self.clock.max(now);
        for kind in [Kind::Record, Kind::Limiter, Kind::Cache, Kind::Text] {
            for _ in 0..SWEEP {
                let first = self.shelf(kind).by_expiry.first();
                let Some((_, key)) = first.filter(|(expires, _)| *expires <= self.clock) else {
                    break;
                };
                let key = key.clone();
                self.remove(&key);
            }
        }
    }

    /// The moment `ttl_ms` from now, in the store's time.
    pub(super) fn after(&self, ttl_ms: Option<u64>) -> Option<u64> {
        ttl_ms.map(|ttl| self.clock.saturating_add(clamped_ttl(ttl)))
    }

    /// When a limit of this window can be forgotten.
    pub(super) fn limit_expiry(&self, window: u64) -> u64 {
        self.clock.saturating_add(2 * window).saturating_add(self.skew_ms)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.map.get(key).filter(|entry| entry.expires > self.clock)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(super) fn expiry(&self, key: &str) -> Option<u64> {
        self.entry(key).map(|entry| entry.expires).filter(|expires| *expires != u64::MAX)
    }

    pub(super) fn hash(&self, key: &str) -> Option<&BTreeMap<String, String>> {
        match self.value(key) {
            Some(Value::Hash(fields)) => Some(fields),
            _ => None,
        }
    }

    /// The string at a key; a cached one is now the one most recently read.
    pub(super) fn text(&mut self, key: &str) -> Option<Bytes> {
        let Value::Text(text) = self.value(key)? else {
            return None;
        };
        let text = text.clone();
        self.reads += 1;
        if let Some((name, _)) = self.map.get_key_value(key) {
            let name = name.clone();
            if let Some(entry) = self.map.get_mut(key).filter(|entry| entry.kind == Kind::Cache) {
                self.cache.by_read.remove(&(entry.read, name.clone()));
                entry.read = self.reads;
                self.cache.by_read.insert((self.reads, name));
            }
        }
        Some(text)
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.take(key);
    }

    /// Removes a key and gives what stood there.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        let (name, entry) = self.map.remove_entry(key)?;
        let shelf = self.shelf_mut(entry.kind);
        shelf.bytes = shelf.bytes.saturating_sub(entry.bytes);
        shelf.by_read.remove(&(entry.read, name.clone()));
        shelf.by_expiry.remove(&(entry.expires, name));
        (entry.expires > self.clock).then_some(entry.value)
    }

    /// Sets a key, in the bounds of its kind; see the module's head for what then goes.
    pub(super) fn put(&mut self, key: &str, value: Value, expires: Option<u64>) {
        let kind = match &value {
            Value::Hash(_) => Kind::Record,
            Value::Limit { .. } | Value::Log { .. } => Kind::Limiter,
            Value::Text(_) if key.starts_with(&self.cache_prefix) => Kind::Cache,
            Value::Text(_) => Kind::Text,
        };
        let bytes = KEY_BYTES + 2 * key.len() + value.bytes();
        let entry = Entry { value, kind, expires: expires.unwrap_or(u64::MAX), bytes, read: self.reads };
        let Some(entry) = self.exchange(key, entry) else { return };
        self.remove(key);
        while !self.shelf(kind).fits(bytes) {
            let Some(victim) = self.shelf(kind).victim(kind) else {
                // A log past the bound of all limits stays: dropping it would lift its limit.
                if kind == Kind::Limiter && self.shelf(kind).max_keys > 0 {
                    break;
                }
                return;
            };
            self.remove(&victim);
        }
        let name: Arc<str> = key.into();
        let shelf = self.shelf_mut(kind);
        shelf.bytes += bytes;
        shelf.by_expiry.insert((entry.expires, name.clone()));
        if kind == Kind::Cache {
            shelf.by_read.insert((entry.read, name.clone()));
        }
        self.map.insert(name, entry);
    }

    /// Puts an entry in the place of one of the same kind and size, as every count of a limit does: nothing else has to go,
    /// and the key need not be made anew. Gives it back where there is none such.
    fn exchange(&mut self, key: &str, entry: Entry) -> Option<Entry> {
        let same = |held: &&mut Entry| held.kind == entry.kind && held.bytes == entry.bytes;
        if entry.kind == Kind::Cache || !self.shelf(entry.kind).holds_all() {
            return Some(entry);
        }
        let Some(held) = self.map.get_mut(key).filter(same) else { return Some(entry) };
        let (kind, now, before) = (entry.kind, entry.expires, held.expires);
        *held = entry;
        if now != before
            && let Some((name, _)) = self.map.get_key_value(key)
        {
            let mut place = (before, Arc::clone(name));
            let shelf = self.shelf_mut(kind);
            shelf.by_expiry.remove(&place);
            place.0 = now;
            shelf.by_expiry.insert(place);
        }
        None
    }

    /// Gives an admission of a log back.
    pub(super) fn refund(&mut self, key: &str, member: &str) {
        let Some(entry) = self.map.get_mut(key).filter(|entry| entry.expires > self.clock) else {
            return;
        };
        let Value::Log { log, .. } = &mut entry.value else {
            return;
        };
        log.remove(member);
        if log.is_empty() {
            self.remove(key);
        }
    }

    pub(super) fn usage(&self) -> MemoryUse {
        let [records, limiters, cache, strings] = [&self.records, &self.limiters, &self.cache, &self.strings];
        MemoryUse {
            records: records.by_expiry.len(),
            limiters: limiters.by_expiry.len(),
            cache_entries: cache.by_expiry.len(),
            strings: strings.by_expiry.len(),
            bytes: records.bytes + limiters.bytes + cache.bytes + strings.bytes,
        }
    }

    fn shelf(&self, kind: Kind) -> &Shelf {
        match kind {
            Kind::Record => &self.records,
            Kind::Limiter => &self.limiters,
            Kind::Cache => &self.cache,
            Kind::Text => &self.strings,
        }
    }

    fn shelf_mut(&mut self, kind: Kind) -> &mut Shelf {
        match kind {
            Kind::Record => &mut self.records,
            Kind::Limiter => &mut self.limiters,
            Kind::Cache => &mut self.cache,
            Kind::Text => &mut self.strings,
        }
    }
}

impl Shelf {
    fn new(max_keys: usize, max_bytes: usize) -> Self {
        Self { max_keys, max_bytes, bytes: 0, by_expiry: BTreeSet::new(), by_read: BTreeSet::new() }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.by_expiry.len() < self.max_keys && self.bytes + bytes <= self.max_bytes
    }

    /// Whether what is there is within the bounds.
    fn holds_all(&self) -> bool {
        self.by_expiry.len() <= self.max_keys && self.bytes <= self.max_bytes
    }

    /// The key to go next; none if all are to stay.
    fn victim(&self, kind: Kind) -> Option<Arc<str>> {
        let first = if kind == Kind::Cache { self.by_read.first() } else { self.by_expiry.first() };
        first.filter(|(order, _)| kind == Kind::Cache || *order != u64::MAX).map(|(_, key)| key.clone())
    }
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Hash(fields) => {
                fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_BYTES).sum()
            }
            Self::Limit { .. } => 0,
            Self::Log { log, .. } => log.bytes(),
        }
    }
}

/// Expired keys of each kind swept per batch.
const SWEEP: usize = 32;

/// What the maps take per key, roughly.
const KEY_BYTES: usize = 256;

/// What a hash takes per field, roughly.
const FIELD_BYTES: usize = 64;
