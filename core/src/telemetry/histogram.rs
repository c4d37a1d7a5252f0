//! A histogram with fixed bounds, in microseconds.

use alloc::{collections::BTreeMap, string::String};

/// Counts per bound, the sum and the number of all observations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram<const N: usize> {
    bounds_us: &'static [u64; N],
    counts: [u64; N],
    pub(crate) count: u64,
    pub(crate) sum_us: u64,
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(bounds_us: &'static [u64; N]) -> Self {
        Self { bounds_us, counts: [0; N], count: 0, sum_us: 0 }
    }

    pub(crate) fn observe(&mut self, us: u64) {
        let fits = self.bounds_us.iter().position(|bound| us <= *bound);
        if let Some(count) = fits.and_then(|index| self.counts.get_mut(index)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// The bucket that an observation falls into; the last is past every bound.
    pub(crate) fn place(&self, us: u64) -> usize {
        self.bounds_us.iter().position(|bound| us <= *bound).unwrap_or(N)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Observations in each bucket by itself; the last is of those past every bound.
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        let within: u64 = self.counts.iter().sum();
        self.counts.iter().copied().chain([self.count.saturating_sub(within)])
    }

    /// Adds observations to the bucket at this place; those past the last bound have the place after it.
    pub(crate) fn add(&mut self, place: usize, times: u64) {
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(times);
        }
        if place <= N {
            self.count = self.count.saturating_add(times);
        }
    }

    /// Bound and number of observations up to it, cumulative.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let running = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds_us.iter().copied().zip(running)
    }
}

/// An observation that can be looked at: the trace it was made in.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: String,
    pub(crate) us: u64,
    pub(crate) at_ms: u64,
}

/// The last one of each bucket. Holds nothing until there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exemplars(BTreeMap<usize, Exemplar>);

impl Exemplars {
    /// Keeps it unless a later one is there. Bounded by the places of a histogram.
    pub(crate) fn keep(&mut self, place: usize, exemplar: Exemplar) {
        if self.0.get(&place).is_none_or(|held| held.at_ms <= exemplar.at_ms) {
            self.0.insert(place, exemplar);
        }
    }

    pub(crate) fn at(&self, place: usize) -> Option<&Exemplar> {
        self.0.get(&place)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (place, exemplar) in &other.0 {
            self.keep(*place, exemplar.clone());
        }
    }
}
