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
    /// Peak EWMA of time to response headers, microseconds; 0 while unknown.
    pub ewma_us: u64,
    /// Whether it is ejected at this moment.
    pub ejected: bool,
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
    view: OriginView,
    failures: u32,
    retry_at_ms: u64,
}

impl Board {
    /// A board of healthy, idle origins.
    pub fn new(origins: usize) -> Self {
        Self { states: alloc::vec![State::default(); origins] }
    }

    /// A request goes out.
    pub fn start(&mut self, origin: OriginId) {
        if let Some(state) = self.states.get_mut(origin.0) {
            state.view.in_flight = state.view.in_flight.saturating_add(1);
        }
    }

    /// A request that [`Board::start`] announced has ended, body and all.
    pub fn finish(&mut self, origin: OriginId) {
        if let Some(state) = self.states.get_mut(origin.0) {
            state.view.in_flight = state.view.in_flight.saturating_sub(1);
        }
    }

    /// What an attempt or a check showed. Returns whether the ejected state changed.
    pub fn observe(&mut self, origin: OriginId, observation: Observation, now_ms: u64) -> bool {
        let Some(state) = self.states.get_mut(origin.0) else { return false };
        let was = state.view.ejected;
        match observation {
            Observation::Answered { us } => {
                let old = state.view.ewma_us;
                // Peak-sensitive: jumps up at once, comes down by an eighth.
                state.view.ewma_us = if us >= old { us } else { old - (old - us) / 8 };
                state.failures = 0;
                state.view.ejected = false;
            }
            Observation::Healthy => {
                state.failures = 0;
                state.view.ejected = false;
            }
            Observation::Failed => {
                state.failures = state.failures.saturating_add(1);
                state.view.ejected = true;
                let backoff = EJECT_MS << state.failures.saturating_sub(1).min(4);
                state.retry_at_ms = now_ms.saturating_add(backoff);
            }
            Observation::Abandoned => {}
        }
        was != state.view.ejected
    }

    /// The views at this moment: an origin whose ejection has run out is offered again, and the next observation
    /// decides.
    pub fn views(&self, now_ms: u64) -> Vec<OriginView> {
        self.states
            .iter()
            .map(|state| OriginView {
                ejected: state.view.ejected && now_ms < state.retry_at_ms,
                ..state.view
            })
            .collect()
    }
}

/// First ejection, doubled up to sixteenfold by repeated failures: short enough to notice recovery, long enough
/// not to spend a request a second on a dead server.
const EJECT_MS: u64 = 2_000;
