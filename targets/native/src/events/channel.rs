//! Events as they are kept for those who hear them: the last ones, in one ring.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use acip_core::{event::Listening, report::Subscription};
use tokio::sync::watch;

use super::listener::{Listener, Missed};
use crate::{
    ports::now_ms,
    process::{Phase, lock},
};

/// A ring, and whoever waits for it.
#[derive(Debug)]
pub(super) struct Channel {
    /// Whether anybody hears.
    heard: AtomicBool,
    pub(super) ring: Mutex<Ring>,
    /// The number of the next event: changes with every one.
    told: watch::Sender<u64>,
    /// How long events are kept for a listener who comes back.
    remembered: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Ring {
    /// When it began to be filled, unix ms. Numbers count from there, so that those of another time are known as such.
    pub(super) since_ms: u64,
    /// The number of the next event.
    next: u64,
    pub(super) kept: VecDeque<Kept>,
    bytes: usize,
    listeners: usize,
    /// When the last listener left.
    left: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: &'static str,
    pub(super) json: Box<str>,
}

impl Channel {
    pub(super) fn new(remembered: Duration) -> Arc<Self> {
        let (heard, ring, told) = (AtomicBool::new(false), Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { heard, ring, told, remembered })
    }

    /// Whether anybody hears, or may come back.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    pub(super) fn push(&self, lines: impl Iterator<Item = (&'static str, String)>) {
        // Put into words before anybody has to wait for the ring.
        let lines: Vec<_> = lines.map(|(name, json)| Kept { name, json: json.into() }).collect();
        if lines.is_empty() {
            return;
        }
        let mut ring = lock(&self.ring);
        if self.forgets(&mut ring) {
            return;
        }
        lines.into_iter().for_each(|kept| ring.push(kept));
        let next = ring.next;
        drop(ring);
        self.told.send_replace(next);
    }

    /// Somebody who takes events from now on, or from where it was before. `begins` runs before the first event is kept where
    /// nobody heard any until now.
    ///
    /// # Errors
    /// All places are taken.
    pub(super) fn listener(
        self: &Arc<Self>,
        listening: &Listening,
        phase: watch::Receiver<Phase>,
        begins: impl FnOnce(),
    ) -> Result<Listener, Subscription> {
        let mut ring = lock(&self.ring);
        if ring.listeners >= MAX_LISTENERS {
            return Err(Subscription::Full);
        }
        if self.forgets(&mut ring) || !self.is_heard() {
            begins();
            ring.since_ms = now_ms();
            self.heard.store(true, Relaxed);
        }
        ring.listeners += 1;
        ring.left = None;
        let (next, missed) = ring.resume(listening.after.as_deref());
        drop(ring);
        let told = self.told.subscribe();
        Ok(Listener { channel: Arc::clone(self), wanted: listening.wanted, next, missed, told, phase })
    }

    /// A listener leaves.
    pub(super) fn leave(&self) {
        let mut ring = lock(&self.ring);
        ring.listeners -= 1;
        if ring.listeners == 0 {
            ring.left = Some(Instant::now());
            self.forgets(&mut ring);
        }
    }

    /// Whether nobody came back in time: then the ring is empty, and not filled any more.
    fn forgets(&self, ring: &mut Ring) -> bool {
        let is_over = ring.listeners == 0 && ring.left.is_some_and(|left| left.elapsed() >= self.remembered);
        if is_over {
            self.heard.store(false, Relaxed);
            *ring = Ring::default();
        }
        is_over
    }
}

impl Ring {
    fn push(&mut self, kept: Kept) {
        self.bytes += kept.json.len();
        self.kept.push_back(kept);
        self.next += 1;
        while self.kept.len() > MAX_KEPT || self.bytes > MAX_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.json.len();
        }
    }

    pub(super) fn oldest(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    /// The next event for somebody who has heard `last`, and what was missed in between.
    fn resume(&self, last: Option<&str>) -> (u64, Missed) {
        let Some(last) = last else { return (self.next, Missed::Nothing) };
        let heard = last.split_once('-').and_then(|(since, number)| {
            let known = u64::from_str_radix(since, 16).ok()? == self.since_ms;
            number.parse::<u64>().ok().filter(|number| known && *number < self.next)
        });
        heard.map_or((self.next, Missed::Unknown), |number| (number + 1, Missed::Nothing))
    }
}

/// People at a dashboard and a few programs.
pub(super) const MAX_LISTENERS: usize = 64;
pub(super) const MAX_KEPT: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
