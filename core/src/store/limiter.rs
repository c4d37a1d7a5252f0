//! The arithmetic of limits: what a state and a moment say about a request. It keeps nothing and knows no keys.
//!
//! All of it is in integers, and so chosen that `script.lua`, whose only number is the double, computes the very same.
//! Windows are at most 2^32 - 1 ms, limits and costs at most 2^32 - 1.
//!
//! Every algorithm takes the later of `now` and the last moment at which it counted: a clock that goes back
//! admits nothing that the right clock would not have.
//!
//! | algorithm | most admitted |
//! |---|---|
//! | fixed window | `limit` in each window aligned to the epoch; up to 2 x `limit` in a span across a border |
//! | sliding window | `limit` in each aligned window, at most 2 x `limit` - 1 in any span of `window_ms`; under even traffic `limit` |
//! | sliding log | exactly `limit` in any span of `window_ms` |
//! | token bucket | `limit` at once, and on average `limit` per `window_ms`; so below 2 x `limit` + 1 in any span of `window_ms` |
//!
//! The sliding window takes the previous window's count to have been spread evenly over it. The worst case is a burst of `limit` in the
//! last millisecond of a window, followed by `limit` - 1 at the very end of the next: of the burst one unit still counts then.

use alloc::{string::String, vec::Vec};

use crate::config::Algorithm;

/// What is asked of a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) now: u64,
    pub(super) limit: u64,
    pub(super) window: u64,
    pub(super) cost: u64,
}

/// What a limit remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Fixed and sliding windows; the fixed one ignores `prev`.
    Windows { start: u64, cur: u64, prev: u64, last: u64 },
    /// Thousandths of a unit, and `part / width` of one more; none: full.
    Bucket(Option<Bucket>),
    /// Counts of a log kept elsewhere.
    Log(LogView),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) level: u64,
    pub(super) part: u64,
    pub(super) last: u64,
}

/// A log as seen by one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogView {
    /// The latest admission; 0: none.
    pub(super) last: u64,
    /// Units within the window.
    pub(super) used: u64,
    /// Units of those that were there before the batch.
    pub(super) kept: u64,
    /// Units added by the batch, by name.
    pub(super) added: Vec<(String, u64)>,
}

/// What a limit answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) admitted: bool,
    /// Units left before and after.
    pub(super) before: u64,
    pub(super) after: u64,
    /// When full again, if this is counted and if not.
    pub(super) reset: u64,
    pub(super) reset_before: u64,
    pub(super) retry_after: u64,
    /// Set where there is something to count.
    pub(super) next: Option<State>,
}

impl State {
    /// The state of a limit of which nothing is known.
    pub(super) fn fresh(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::SlidingWindow | Algorithm::FixedWindow => {
                Self::Windows { start: 0, cur: 0, prev: 0, last: 0 }
            }
            Algorithm::TokenBucket => Self::Bucket(None),
            Algorithm::SlidingLog => Self::Log(LogView::default()),
        }
    }

    /// Judges a request. `nth_oldest` finds the time of the n-th oldest (from 1) unit of the log within the window.
    pub(super) fn judge(
        &self,
        ask: Ask,
        fixed: bool,
        member: &str,
        nth_oldest: impl FnOnce(u64) -> Option<u64>,
    ) -> Outcome {
        match self {
            Self::Windows { start, cur, prev, last } => windows(ask, fixed, [*start, *cur, *prev, *last]),
            Self::Bucket(bucket) => tokens(ask, *bucket),
            Self::Log(view) => log(ask, view, member, nth_oldest),
        }
    }
}

impl Outcome {
    /// The refusal of a limit of 0.
    pub(super) fn never(ask: Ask) -> Self {
        Self::refused(ask, 0, ask.now + ask.window, ask.window)
    }

    fn refused(ask: Ask, left: u64, reset: u64, retry_after: u64) -> Self {
        // A cost above the limit never fits: no wait is right, a window is as good as any.
        let retry_after = if ask.cost > ask.limit { ask.window } else { retry_after };
        Self {
            admitted: false,
            before: left,
            after: left,
            reset,
            reset_before: reset,
            retry_after,
            next: None,
        }
    }

    fn admitted(ask: Ask, left: u64, reset: u64, reset_before: u64, next: State) -> Self {
        Self {
            admitted: true,
            before: left,
            after: left.saturating_sub(ask.cost),
            reset,
            reset_before,
            retry_after: 0,
            next: (ask.cost > 0).then_some(next),
        }
    }
}

fn windows(ask: Ask, fixed: bool, [start, cur, prev, last]: [u64; 4]) -> Outcome {
    let Ask { limit, window, cost, .. } = ask;
    let now = ask.now.max(last);
    let begins = now - now % window;
    let ends = begins + window;
    let (cur, prev) = match begins {
        _ if begins == start => (cur, prev),
        _ if begins == start + window => (0, cur),
        _ => (0, 0),
    };
    let prev = if fixed { 0 } else { prev };
    let weighted = (prev * ((ends - now) * ONE).div_ceil(window)).div_ceil(ONE);
    let used = cur + weighted;
    let left = limit.saturating_sub(used);
    if used + cost <= limit {
        let next = State::Windows { start: begins, cur: cur + cost, prev, last: now };
        return Outcome::admitted(ask, left, ends, ends, next);
    }
    if fixed || cost > limit {
        return Outcome::refused(ask, left, ends, ends - now);
    }
    // The previous count must weigh no more than `room`: solve both roundings for the longest overlap.
    let (room, weighs, from) = if cur + cost <= limit {
        (limit - cur - cost, prev, ends)
    } else {
        (limit - cost, cur, ends + window)
    };
    let overlap = (room * ONE).checked_div(weighs).unwrap_or(ONE) * window / ONE;
    Outcome::refused(ask, left, ends, (from - overlap).saturating_sub(now))
}

fn tokens(ask: Ask, bucket: Option<Bucket>) -> Outcome {
    let Ask { limit, window, cost, .. } = ask;
    // Coarser ticks for windows past 25 hours keep ticks x ticks exact in a double.
    let step = window.div_ceil(MAX_TICKS);
    let width = window.div_ceil(step);
    let cap = limit * 1000;
    let now = bucket.map_or(ask.now, |bucket| ask.now.max(bucket.last));
    let Bucket { mut level, mut part, mut last } =
        bucket.unwrap_or(Bucket { level: cap, part: 0, last: now });
    let steps = (now - last) / step;
    last += steps * step;
    let gained = u128::from(steps.min(width)) * u128::from(cap) + u128::from(part);
    let gain = u64::try_from(gained / u128::from(width)).unwrap_or(u64::MAX);
    part = u64::try_from(gained % u128::from(width)).unwrap_or_default();
    level = level.saturating_add(gain);
    if level >= cap {
        (level, part, last) = (cap, 0, now);
    }
    // Ticks from `last` until `deficit` thousandths more are there.
    let until = |level_wanted: u64, level: u64| {
        let deficit = u128::from(level_wanted.saturating_sub(level)) * u128::from(width);
        let ticks = deficit.saturating_sub(part.into()).div_ceil(cap.max(1).into());
        last + u64::try_from(ticks).unwrap_or(u64::MAX / MAX_TICKS) * step
    };
    let left = level / 1000;
    let full = until(cap, level);
    if cost <= left {
        let level = level - cost * 1000;
        let reset = if cost > 0 { until(cap, level) } else { full };
        return Outcome::admitted(ask, left, reset, full, State::Bucket(Some(Bucket { level, part, last })));
    }
    let enough = if cost <= limit { until(cost * 1000, level) } else { now };
    Outcome::refused(ask, left, full, enough.saturating_sub(now))
}

fn log(ask: Ask, view: &LogView, member: &str, nth_oldest: impl FnOnce(u64) -> Option<u64>) -> Outcome {
    let Ask { limit, window, cost, .. } = ask;
    let now = ask.now.max(view.last);
    let left = limit.saturating_sub(view.used);
    let reset = if view.used > 0 { view.last + window } else { now };
    if view.used + cost <= limit {
        let mut added = view.added.clone();
        match added.iter_mut().find(|(name, _)| name == member) {
            Some((_, units)) => *units += cost,
            None => added.push((member.into(), cost)),
        }
        let next = LogView { last: now, used: view.used + cost, kept: view.kept, added };
        let counted = if cost > 0 { now + window } else { reset };
        return Outcome::admitted(ask, left, counted, reset, State::Log(next));
    }
    let nth = (view.used + cost).saturating_sub(limit);
    let leaves = (nth <= view.kept && cost <= limit).then(|| nth_oldest(nth)).flatten();
    Outcome::refused(ask, left, reset, leaves.map_or(window, |time| (time + window).saturating_sub(now)))
}

/// Weight 1 of the sliding window's previous count.
const ONE: u64 = 1 << 20;

/// Ticks of a token bucket's window; its square is below 2^53.
const MAX_TICKS: u64 = 90_000_000;

#[cfg(test)]
mod tests;
