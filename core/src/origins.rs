//! Load and health of the origins as a fold over observations. The shell owns a [`Board`], tells it what happened
//! and hands [`OriginView`]s to the core; which origin a request gets is the router plugin's.

use alloc::vec::Vec;

/// Index into [`crate::config::Document::origins`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OriginId(pub usize);

/// One origin at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OriginView {
    /// Requests under way.
    pub in_flight: u32,
    /// Peak EWMA of time to response headers, microseconds; 0 while unknown, and again when it is too old to mean
    /// anything.
    pub ewma_us: u64,
    /// Whether it is ejected at this moment.
    pub ejected: bool,
    /// Whether it failed last. One that fails but is not ejected is due for another try.
    pub failing: bool,
}

/// How one attempt, or one active check, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Response headers came after so many microseconds.
    Answered {
        /// Time to response headers.
        us: u64,
    },
    /// No connection, reset before headers, timeout, or an active check that failed.
    Failed,
    /// Given up for reasons that are not the origin's: the client left.
    Abandoned,
    /// An active check succeeded: back at once.
    Healthy,
}

/// All origins' state. Bounded by the number of origins.
#[derive(Clone, Debug, Default)]
pub struct Board {
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    in_flight: u32,
    ewma_us: u64,
    /// When `ewma_us` was true.
    measured_ms: u64,
    /// In a row.
    failures: u32,
    retry_at_ms: u64,
    /// Whether the one try after an ejection is under way.
    probing: bool,
}

impl Board {
    /// A board of healthy, idle origins.
    pub fn new(origins: usize) -> Self {
        Self { states: alloc::vec![State::default(); origins] }
    }

    /// The board for other origins, each with the place in this one where it stood before, if it did. What was measured stays;
    /// requests under way are counted where they began.
    pub fn arranged(&self, places: impl Iterator<Item = Option<usize>>) -> Self {
        let state = |place: Option<usize>| {
            let known = place.and_then(|place| self.states.get(place)).copied().unwrap_or_default();
            State { in_flight: 0, probing: false, ..known }
        };
        Self { states: places.map(state).collect() }
    }

    /// A request goes out. To an origin that fails it is the one try that decides: others wait for its end.
    pub fn start(&mut self, origin: OriginId) {
        if let Some(state) = self.states.get_mut(origin.0) {
            state.in_flight = state.in_flight.saturating_add(1);
            state.probing = state.failures > 0;
        }
    }

    /// A request that [`Board::start`] announced has ended, body and all.
    pub fn finish(&mut self, origin: OriginId) {
        if let Some(state) = self.states.get_mut(origin.0) {
            state.in_flight = state.in_flight.saturating_sub(1);
            state.probing = state.probing && state.in_flight > 0;
        }
    }

    /// What an attempt or a check showed. Returns whether the origin began or ceased to fail.
    pub fn observe(&mut self, origin: OriginId, observation: Observation, now_ms: u64) -> bool {
        let Some(state) = self.states.get_mut(origin.0) else { return false };
        let was_failing = state.failures > 0;
        match observation {
            Observation::Answered { us } => {
                let old = state.faded_us(now_ms);
                // Peak-sensitive: jumps up at once, comes down by an eighth. Never 0, which means unknown.
                state.ewma_us = if us >= old { us.max(1) } else { old - (old - us) / 8 };
                state.measured_ms = now_ms;
                state.recover();
            }
            Observation::Healthy => state.recover(),
            Observation::Failed => {
                // Requests that were under way when it failed say nothing new.
                if state.failures == 0 || now_ms >= state.retry_at_ms {
                    let backoff_ms = EJECT_MS << state.failures.min(MOST_DOUBLINGS);
                    state.failures = state.failures.saturating_add(1);
                    state.retry_at_ms = now_ms.saturating_add(backoff_ms);
                }
                state.probing = false;
            }
            Observation::Abandoned => state.probing = false,
        }
        was_failing != (state.failures > 0)
    }

    /// The views at this moment: an origin whose ejection has run out is offered again, to one request, whose end
    /// decides.
    pub fn views(&self, now_ms: u64) -> Vec<OriginView> {
        let view = |state: &State| OriginView {
            in_flight: state.in_flight,
            ewma_us: state.faded_us(now_ms),
            ejected: state.failures > 0 && (now_ms < state.retry_at_ms || state.probing),
            failing: state.failures > 0,
        };
        self.states.iter().map(view).collect()
    }
}

impl State {
    fn recover(&mut self) {
        self.failures = 0;
        self.probing = false;
    }

    /// Halved for each half-life since it was measured: an origin that was slow once is avoided, so that nothing but
    /// time can show that it is slow no more.
    fn faded_us(&self, now_ms: u64) -> u64 {
        let half_lives = now_ms.saturating_sub(self.measured_ms) / HALF_LIFE_MS;
        u32::try_from(half_lives).ok().and_then(|by| self.ewma_us.checked_shr(by)).unwrap_or(0)
    }
}

/// First ejection, doubled up to sixteenfold by repeated failures: short enough to notice recovery, long enough
/// not to spend a request a second on a dead server.
const EJECT_MS: u64 = 2_000;
const MOST_DOUBLINGS: u32 = 4;
/// Long beside the time between two answers of a busy origin, short beside the patience of whoever mended it.
const HALF_LIFE_MS: u64 = 10_000;

#[cfg(test)]
mod tests;
