//! Origins that cannot be spoken to are a matter for the operator, but a dead one under load is one matter, not a
//! thousand a second: each is named at most once in a while.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What has been said of origins, by authority; shared by all threads.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<BTreeMap<String, Said>>);

#[derive(Debug)]
struct Said {
    last: Instant,
    /// Since then, and not said.
    held_back: u64,
}

impl Complaints {
    /// Says, as a warning, why an origin did not serve; or only counts it where one was said within [`PAUSE`].
    pub(super) fn complain(&self, origin: &str, what: &str, reason: &dyn std::error::Error) {
        if let Some(held_back) = self.turn(origin, Instant::now()) {
            let reason = chain(reason);
            tracing::warn!(origin, reason, held_back, "{what}");
        }
    }

    /// Whether it may be said now, with the number of those held back before it.
    fn turn(&self, origin: &str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = said.get_mut(origin) {
            if now.saturating_duration_since(it.last) < PAUSE {
                it.held_back = it.held_back.saturating_add(1);
                return None;
            }
            it.last = now;
            return Some(std::mem::take(&mut it.held_back));
        }
        // Origins come and go with the configuration; those of old documents need no memory.
        if said.len() >= MAX_ORIGINS {
            said.retain(|_, it| now.saturating_duration_since(it.last) < PAUSE);
        }
        if said.len() < MAX_ORIGINS {
            said.insert(origin.to_owned(), Said { last: now, held_back: 0 });
        }
        Some(0)
    }
}

/// An error with its causes: the outermost alone often says only that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Between two warnings about one origin.
const PAUSE: Duration = Duration::from_secs(1);

/// More than anybody configures.
const MAX_ORIGINS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_is_named_once_a_second() {
        let complaints = Complaints::default();
        let start = Instant::now();
        for (origin, after_ms, expected) in [
            ("a", 0, Some(0)),
            ("a", 1, None),
            ("b", 1, Some(0)),
            ("a", 999, None),
            ("a", 1000, Some(2)),
            ("a", 1001, None),
            ("b", 3000, Some(0)),
            ("a", 3000, Some(1)),
        ] {
            let now = start + Duration::from_millis(after_ms);
            assert_eq!(complaints.turn(origin, now), expected, "{origin} at {after_ms}");
        }
    }
}
