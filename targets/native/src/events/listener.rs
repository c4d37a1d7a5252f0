//! One listener: what it still has to hear, as frames of a stream or as plain lines.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use acip_core::event::Wanted;
use bytes::Bytes;
use tokio::sync::watch;

use super::channel::{Channel, Kept, Ring};
use crate::process::{Phase, lock};

/// What a listener did not hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    Nothing,
    /// It was here before, but not lately.
    Unknown,
    Events(u64),
}

/// Takes events from the ring when it can use them.
pub(crate) struct Listener {
    pub(super) channel: Arc<Channel>,
    pub(super) wanted: Wanted,
    /// The number of the next event that it has not heard.
    pub(super) next: u64,
    pub(super) missed: Missed,
    pub(super) told: watch::Receiver<u64>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Listener {
    /// What there is to write next; none when the process ends.
    pub(super) async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            self.told.mark_unchanged();
            let chunk = self.frames();
            if !chunk.is_empty() {
                return Some(chunk.into());
            }
            tokio::select! {
                _ = self.phase.wait_for(|phase| *phase != Phase::Serving) => return None,
                told = self.told.changed() => told.ok()?,
                () = tokio::time::sleep(SILENCE) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// Waits until something has happened since it last took lines.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as the ring, which this holds.
        let _ = self.told.changed().await;
    }

    /// At most so many lines, and how many it missed before them.
    pub(crate) fn lines(&mut self, most: usize) -> (Vec<String>, u64) {
        self.told.mark_unchanged();
        let mut lines = Vec::new();
        let missed = self.take(|_, _, kept| {
            lines.push(kept.json.to_string());
            lines.len() < most
        });
        (lines, if let Missed::Events(count) = missed { count } else { 0 })
    }

    /// Frames of all that is wanted, up to the size of a chunk.
    fn frames(&mut self) -> String {
        let mut frames = String::new();
        // INVARIANT: writing to a string does not fail.
        let missed = self.take(|since_ms, number, Kept { name, json }| {
            let _ = write!(frames, "id: {since_ms:x}-{number}\nevent: {name}\ndata: {json}\n\n");
            frames.len() < MAX_CHUNK_BYTES
        });
        let count = match missed {
            Missed::Nothing => return frames,
            Missed::Unknown => "null".to_owned(),
            Missed::Events(count) => count.to_string(),
        };
        let dropped = format!("event: {DROPPED}\ndata: {{\"name\":\"{DROPPED}\",\"count\":{count}}}\n\n");
        dropped + &frames
    }

    /// Gives what is wanted, one by one with when the ring began and its number, as long as there is room; returns what was missed
    /// before.
    fn take(&mut self, mut give: impl FnMut(u64, u64, &Kept) -> bool) -> Missed {
        let ring: &Ring = &lock(&self.channel.ring);
        let oldest = ring.oldest();
        if self.next < oldest {
            self.missed = Missed::Events(oldest - self.next);
            self.next = oldest;
        }
        let from = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
        for kept in ring.kept.iter().skip(from) {
            let room = !self.wanted.admits(kept.name) || give(ring.since_ms, self.next, kept);
            self.next += 1;
            if !room {
                break;
            }
        }
        std::mem::replace(&mut self.missed, Missed::Nothing)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.channel.leave();
    }
}

/// The name under which a listener hears of what it missed; a `count` of `null` is one that nobody knows.
pub(super) const DROPPED: &str = "gateway:events:dropped";
const MAX_CHUNK_BYTES: usize = 64 << 10;
/// Shorter than what proxies on the way wait for.
const SILENCE: Duration = Duration::from_secs(15);
