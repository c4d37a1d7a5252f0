//! Which workers are up, so that whoever listens hears of one that falls silent, and of one that calls another gateway or
//! writes its keys itself. It is no registry: it only compares what was told with what the list shows. Who looks asks the
//! store for the list ([`Census`](super::Census)) and tells what came of it; a request never does.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::event::Event;

/// The workers that events told of, or a look at the list showed.
#[derive(Debug, Default)]
pub struct Presence {
    workers: BTreeMap<String, Known>,
    /// Whether there was a look since somebody listens.
    looked: bool,
}

#[derive(Debug)]
struct Known {
    up: bool,
    /// When a call through this process told, unix ms.
    told_ms: u64,
}

impl Presence {
    /// Workers known at a time.
    pub const MOST: usize = 10_000;

    /// From here on somebody listens: the first look tells nothing, for nothing has changed.
    pub fn begins(&mut self) {
        *self = Self::default();
    }

    /// Takes note of an event. Returns whether it is news: a look may have told it before.
    pub fn hears(&mut self, event: &Event, now_ms: u64) -> bool {
        let (worker, up) = match event {
            Event::WorkerOnline { worker, .. } => (worker, true),
            Event::WorkerOffline { worker } => (worker, false),
            Event::WorkerUpdated { worker, up, .. } => (worker, *up),
            _ => return true,
        };
        let before = self.note(worker, up, now_ms);
        matches!(event, Event::WorkerUpdated { .. }) || before != Some(up)
    }

    /// Compares with the workers that the list shows as online, and their regions. Returns what is news.
    pub fn learns(&mut self, online: &BTreeMap<String, Option<String>>, now_ms: u64) -> Vec<Event> {
        // A list may have been read before the last call was written.
        let settled = |known: &Known| now_ms >= known.told_ms.saturating_add(SETTLES_MS);
        let mut news = Vec::new();
        for (worker, region) in online {
            let unknown = self.workers.len() < Self::MOST;
            if self.workers.get(worker).map_or(unknown, |known| !known.up && settled(known)) {
                self.note(worker, true, 0);
                news.push(Event::WorkerOnline { worker: worker.clone(), region: region.clone() });
            }
        }
        self.workers.retain(|worker, known| {
            let gone = settled(known) && !online.contains_key(worker);
            if gone && known.up {
                news.push(Event::WorkerOffline { worker: worker.clone() });
            }
            !gone
        });
        if !core::mem::replace(&mut self.looked, true) {
            news.clear();
        }
        news
    }

    /// What was known before.
    fn note(&mut self, worker: &str, up: bool, told_ms: u64) -> Option<bool> {
        if let Some(known) = self.workers.get_mut(worker) {
            known.told_ms = told_ms;
            return Some(core::mem::replace(&mut known.up, up));
        }
        if self.workers.len() < Self::MOST {
            self.workers.insert(worker.into(), Known { up, told_ms });
        }
        None
    }
}

/// Twice as long as a snapshot of the list stands.
const SETTLES_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;

    fn list(workers: &[&str]) -> BTreeMap<String, Option<String>> {
        workers.iter().map(|worker| (worker.to_string(), Some("eu".into()))).collect()
    }

    fn online(worker: &str) -> Event {
        Event::WorkerOnline { worker: worker.into(), region: Some("eu".into()) }
    }

    fn offline(worker: &str) -> Event {
        Event::WorkerOffline { worker: worker.into() }
    }

    fn updated(worker: &str, up: bool) -> Event {
        Event::WorkerUpdated { worker: worker.into(), region: None, up }
    }

    #[test]
    fn a_worker_that_falls_silent_is_told_of_once() {
        let mut presence = Presence::default();
        assert_eq!(presence.learns(&list(&["a", "b"]), 101_000), []);
        assert_eq!(presence.learns(&list(&["a", "b"]), 102_000), []);
        assert_eq!(presence.learns(&list(&["b"]), 103_000), [offline("a")]);
        assert_eq!(presence.learns(&list(&["b"]), 104_000), []);
        // It comes back by another gateway.
        assert_eq!(presence.learns(&list(&["a", "b"]), 105_000), [online("a")]);
        // And goes through this one, which its going alone has told.
        assert!(presence.hears(&offline("a"), 106_000));
        assert_eq!(presence.learns(&list(&["b"]), 107_000), []);
        assert_eq!(presence.learns(&list(&["b"]), 120_000), []);
        presence.begins();
        assert_eq!(presence.learns(&list(&["c"]), 130_000), [], "another listener's first look");
    }

    #[test]
    fn what_a_call_told_is_not_taken_back_by_an_older_list() {
        let mut presence = Presence::default();
        assert_eq!(presence.learns(&list(&[]), 0), []);
        assert!(presence.hears(&online("a"), 50_000));
        assert_eq!(presence.learns(&list(&[]), 59_999), []);
        assert_eq!(presence.learns(&list(&[]), 60_000), [offline("a")]);
        assert!(presence.hears(&updated("b", true), 70_000));
        assert!(presence.hears(&offline("b"), 71_000));
        assert_eq!(presence.learns(&list(&["b"]), 80_999), []);
        assert_eq!(presence.learns(&list(&["b"]), 81_000), [online("b")]);
        // What a look told first is no news.
        assert!(!presence.hears(&online("b"), 82_000));
        assert!(presence.hears(&updated("b", false), 83_000));
        assert!(!presence.hears(&offline("b"), 84_000));
        assert!(presence.hears(&Event::CacheMiss, 0));
    }

    #[test]
    fn workers_past_the_bound_are_passed_on_but_not_remembered() {
        let mut presence = Presence::default();
        for number in 0..=Presence::MOST {
            assert!(presence.hears(&online(&number.to_string()), 0));
        }
        assert_eq!(presence.workers.len(), Presence::MOST);
        assert!(presence.hears(&online(&Presence::MOST.to_string()), 0));
        assert_eq!(presence.learns(&list(&[]), 0), vec![]);
        assert_eq!(presence.learns(&list(&[]), SETTLES_MS).len(), Presence::MOST);
        assert!(presence.workers.is_empty());
    }
}
