//! The stream of events, `GET /gateway/events`: what all threads tell, in one order, for whoever listens.
//!
//! The last events are kept in one ring. A listener takes from it when it can write, and is told how many it missed: so
//! nothing is queued for the slow, and a request costs a glance at a flag while nobody listens. After the last listener has left the ring
//! is filled for a while longer, so that one whose connection broke goes on where it was.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use acip_core::{
    Epilogue,
    config::Document,
    event::{self, Event, Listening},
    plugins::{job_tracker::Following, worker_registry::Presence},
    report::Subscription,
};
use acip_shell::EventStream;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;

mod listener;

pub(crate) use listener::Listener;
use listener::Missed;

use crate::{
    ports::now_ms,
    process::{Phase, lock},
};

/// Where events are told and heard.
#[derive(Debug)]
pub struct Events {
    /// Whether anybody hears.
    heard: AtomicBool,
    ring: Mutex<Ring>,
    /// Jobs, so that the end of each is told once. Known whether or not anybody hears.
    jobs: Mutex<Following>,
    /// Workers that are up, while somebody hears.
    workers: Mutex<Presence>,
    /// The number of the next event: changes with every one.
    told: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    /// When it began to be filled, unix ms. Numbers count from there, so that those of another time are known as such.
    since_ms: u64,
    /// The number of the next event.
    next: u64,
    kept: VecDeque<Kept>,
    bytes: usize,
    listeners: usize,
    /// When the last listener left.
    left: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    name: &'static str,
    json: Box<str>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            heard: AtomicBool::new(false),
            ring: Mutex::default(),
            jobs: Mutex::default(),
            workers: Mutex::default(),
            told: watch::Sender::new(0),
        }
    }
}

impl Events {
    /// Tells all that happened in a request.
    pub fn tell(&self, epilogue: &Epilogue, document: &Document) {
        let news = epilogue.events.iter().filter(|event| self.is_news(event));
        if !self.is_heard() {
            news.for_each(drop);
            return;
        }
        let record = &epilogue.record;
        let at_ms = record.outcome.now_ms;
        let line = |event: &Event| (event.name(), event::line(event, at_ms, Some(record), &document.origins));
        self.push(news.map(line).collect());
    }

    fn is_news(&self, event: &Event) -> bool {
        match event {
            Event::JobSubmitted { .. } | Event::JobCompleted { .. } | Event::JobFailed { .. } => {
                lock(&self.jobs).hears(event)
            }
            Event::WorkerOnline { .. } | Event::WorkerOffline { .. } | Event::WorkerUpdated { .. } => {
                !self.is_heard() || lock(&self.workers).hears(event, now_ms())
            }
            _ => true,
        }
    }

    /// Tells of workers that came or went without a call through this process; `online` are those that the list shows.
    pub fn compare(&self, online: &BTreeMap<String, Option<String>>, now_ms: u64, document: &Document) {
        let news = lock(&self.workers).learns(online, now_ms);
        for event in news {
            self.tell_one(&event, document);
        }
    }

    /// Whether anybody hears, or was here a moment ago.
    pub fn is_heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    /// The jobs that were submitted through this process.
    pub fn jobs(&self) -> MutexGuard<'_, Following> {
        lock(&self.jobs)
    }

    /// Tells of something that belongs to no request.
    pub fn tell_one(&self, event: &Event, document: &Document) {
        if self.is_heard() {
            self.push(vec![(event.name(), event::line(event, now_ms(), None, &document.origins))]);
        }
    }

    fn push(&self, lines: Vec<(&'static str, String)>) {
        let mut ring = lock(&self.ring);
        if ring.is_forgotten() {
            self.heard.store(false, Relaxed);
            ring.clear();
            return;
        }
        for (name, json) in lines {
            ring.push(Kept { name, json: json.into() });
        }
        let next = ring.next;
        drop(ring);
        self.told.send_replace(next);
    }

    /// A listener's stream, which ends when the process no longer serves.
    ///
    /// # Errors
    /// All places are taken.
    pub fn listen(
        self: &Arc<Self>,
        listening: &Listening,
        phase: watch::Receiver<Phase>,
    ) -> Result<EventStream, Subscription> {
        let listener = self.listener(listening, phase)?;
        let hello = Bytes::from(format!("retry: {RETRY_MS}\n: events of this gateway\n\n"));
        let events = stream::unfold(listener, |mut listener| async {
            let chunk = listener.chunk().await?;
            Some((chunk, listener))
        });
        Ok(stream::once(std::future::ready(hello)).chain(events).boxed_local())
    }

    /// Somebody who takes events from now on, or from where it was before.
    ///
    /// # Errors
    /// All places are taken.
    pub(crate) fn listener(
        self: &Arc<Self>,
        listening: &Listening,
        phase: watch::Receiver<Phase>,
    ) -> Result<Listener, Subscription> {
        let mut ring = lock(&self.ring);
        if ring.listeners >= MAX_LISTENERS {
            return Err(Subscription::Full);
        }
        if !self.is_heard() || ring.is_forgotten() {
            ring.clear();
            lock(&self.jobs).begins();
            lock(&self.workers).begins();
            ring.since_ms = now_ms();
            self.heard.store(true, Relaxed);
        }
        ring.listeners += 1;
        ring.left = None;
        let (next, missed) = ring.resume(listening.after.as_deref());
        drop(ring);
        let told = self.told.subscribe();
        Ok(Listener { events: Arc::clone(self), wanted: listening.wanted, next, missed, told, phase })
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

    fn clear(&mut self) {
        self.kept.clear();
        (self.bytes, self.next, self.left) = (0, 0, None);
    }

    fn is_forgotten(&self) -> bool {
        self.listeners == 0 && self.left.is_some_and(|left| left.elapsed() >= REMEMBERED)
    }

    fn oldest(&self) -> u64 {
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
const MAX_LISTENERS: usize = 64;
const MAX_KEPT: usize = 1024;
const MAX_BYTES: usize = 1 << 20;
/// How long events are kept for a listener who comes back.
const REMEMBERED: Duration = Duration::from_secs(60);
const RETRY_MS: u32 = 2_000;

#[cfg(test)]
mod tests;
