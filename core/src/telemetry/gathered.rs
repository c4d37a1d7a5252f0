//! Counts of several requests on their way to the fleet's hash as one [`Op::Tally`]. It knows no time: who holds it says when to
//! write.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::fleet::ROUND_TRIPS;
use crate::store::{Add, Op};

/// What waits to be written: at most [`Gathered::is_full`] fields and those of one request.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Their hash: its key, the most fields it takes, and how long it lives.
    hash: Option<(String, u32, u64)>,
    /// By field: where it spills to, and how much.
    adds: BTreeMap<String, (String, u64)>,
    requests: u64,
}

impl Gathered {
    /// Takes what may wait for other requests' counts out of these operations. What is for another hash than that which waits
    /// already stays with them.
    pub fn take_from(&mut self, ops: &mut Vec<Op>) {
        ops.retain_mut(|op| match op {
            Op::Tally { key, adds, max, ttl_ms } if self.is_for(key) => {
                self.hash = Some((core::mem::take(key), *max, *ttl_ms));
                self.requests = self.requests.saturating_add(1);
                for Add { field, spill, by } in adds.drain(..) {
                    let sum = &mut self.adds.entry(field).or_insert((spill, 0)).1;
                    *sum = sum.saturating_add(by);
                }
                false
            }
            _ => true,
        });
    }

    fn is_for(&self, key: &str) -> bool {
        self.hash.as_ref().is_none_or(|(hash, ..)| hash == key)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.hash.is_none()
    }

    /// Whether it has to be written before more is taken.
    pub fn is_full(&self) -> bool {
        self.adds.len() >= MAX_FIELDS
    }

    /// All of it; nothing waits then. Each request counted the command that was to carry its counts: it is one for them all.
    pub fn take(&mut self) -> Option<Op> {
        let Self { hash, mut adds, requests } = core::mem::take(self);
        let (key, max, ttl_ms) = hash?;
        if let Some((_, commands)) = adds.get_mut(ROUND_TRIPS) {
            *commands = commands.saturating_sub(requests.saturating_sub(1));
        }
        let adds = adds.into_iter().map(|(field, (spill, by))| Add { field, spill, by });
        Some(Op::Tally { key, adds: adds.filter(|add| add.by > 0).collect(), max, ttl_ms })
    }
}

/// Usual traffic has some dozens of fields; past these, nobody waits.
const MAX_FIELDS: usize = 1024;
