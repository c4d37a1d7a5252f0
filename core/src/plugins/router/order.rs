//! The strategies as functions over a list of origins: each puts the best first and leaves none out.

use sha2::{Digest, Sha256};

use crate::origins::OriginId;

/// In turn: the list begins one further with each turn.
pub(super) fn rotate(list: &mut [OriginId], turn: u64) {
    let length = u64::try_from(list.len()).unwrap_or(1).max(1);
    list.rotate_left(usize::try_from(turn % length).unwrap_or_default());
}

/// In turn by weight, spread and not in bursts: of `sum` consecutive turns each origin leads exactly `weight`, and
/// with weights 5, 1, 1 the heavy one does not lead five times in a row. Turns are the ticks of a line on which
/// every origin marks `weight` evenly spaced points; a turn belongs to the origin of its point.
pub(super) fn weighted(list: &mut [OriginId], turn: u64, weight: impl Fn(OriginId) -> u32) {
    let sum: u64 = list.iter().map(|id| u64::from(weight(*id))).sum();
    if sum == 0 {
        return;
    }
    let tick = turn % sum;
    if let Some(leader) = leader(list, tick, &weight) {
        by(list, &|id| [(id != leader).into(), (!weight(id)).into(), place(id), 0]);
    }
}

/// The origin of the `tick`-th point from the left. Point `k` (from 0) of an origin with weight `w` lies at
/// `(2k + 1) / 2w`; how many points of all origins lie before it tells its tick.
fn leader(list: &[OriginId], tick: u64, weight: &impl Fn(OriginId) -> u32) -> Option<OriginId> {
    // Enough of each origin's points to reach the tick: the k-th is the first whose rank is not below it.
    let rank = |id: OriginId, k: u64| -> u64 {
        let (w, position) = (u128::from(weight(id)), u128::from(2 * k + 1));
        let before = |other: &OriginId| {
            let v = u128::from(weight(*other));
            // Points j of `other` with (2j + 1) / 2v < position / 2w; at the same place the smaller id is first.
            let scaled = position * v;
            let points = scaled.saturating_add(w).saturating_sub(1) / (2 * w).max(1);
            let tie = *other < id && (scaled + w) % (2 * w).max(1) == 0;
            let points = points + u128::from(tie);
            u64::try_from(points.min(v)).unwrap_or(u64::MAX)
        };
        list.iter().filter(|other| **other != id).map(before).fold(k, u64::saturating_add)
    };
    list.iter().copied().find(|id| {
        let (mut low, mut high) = (0_u64, u64::from(weight(*id)));
        while low < high {
            let middle = low + (high - low) / 2;
            if rank(*id, middle) < tick { low = middle + 1 } else { high = middle }
        }
        low < u64::from(weight(*id)) && rank(*id, low) == tick
    })
}

/// The better of two that are drawn, by a cost where 0 means unknown and is tried first; the rest by cost.
pub(super) fn better_of_two(list: &mut [OriginId], draw: u64, cost: impl Fn(OriginId) -> u64) {
    let length = u64::try_from(list.len()).unwrap_or_default();
    if length < 2 {
        return;
    }
    let first = draw % length;
    // One of the others, each as likely.
    let second = (first + 1 + (draw >> 32) % (length - 1)) % length;
    let at = |index: u64| usize::try_from(index).ok().and_then(|index| list.get(index)).copied();
    let (Some(one), Some(two)) = (at(first), at(second)) else { return };
    let (best, other) = if cost(two) < cost(one) { (two, one) } else { (one, two) };
    by(list, &|id| [(id != best).into(), (id != other).into(), cost(id), place(id)]);
}

/// Highest random weight: for one key the order of the remaining origins stays when one of them goes, so only that
/// one's keys move (Thaler and Ravishankar 1998).
pub(super) fn rendezvous<'n>(list: &mut [OriginId], key: &str, name: impl Fn(OriginId) -> &'n str) {
    by(list, &|id| {
        let mut hash = Sha256::new();
        hash.update(key.as_bytes());
        hash.update([0]);
        hash.update(name(id).as_bytes());
        let digest = <[u8; 32]>::from(hash.finalize());
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
            // The highest first.
            *word = !u64::from_be_bytes(*bytes);
        }
        words
    });
}

/// Puts the smallest key first and leaves equals as they are. One for all strategies: a sort of its own for each would be
/// three kilobytes of an edge build.
pub(super) fn by(list: &mut [OriginId], key: &dyn Fn(OriginId) -> [u64; 4]) {
    list.sort_by_cached_key(|id| key(*id));
}

fn place(id: OriginId) -> u64 {
    u64::try_from(id.0).unwrap_or(u64::MAX)
}
