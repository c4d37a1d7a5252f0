//! Chance from a seed (SplitMix64; Steele, Lea and Flood 2014).

use std::cell::Cell;

/// Draws.
pub(crate) struct Chance(Cell<u64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` up to, but not, `high`.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high - low).max(1)
    }

    /// Whether something happens that happens so often in a thousand times.
    pub(crate) fn per_mille(&self, often: u64) -> bool {
        self.draw() % 1000 < often
    }

    pub(crate) fn of<'a, T>(&self, list: &'a [T]) -> &'a T {
        &list[usize::try_from(self.draw() % list.len() as u64).unwrap_or_default()]
    }

    /// Chance for somebody else, that does not depend on how much of this one is used.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.draw())
    }
}
