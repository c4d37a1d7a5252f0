//! The stream of events, `GET /gateway/events`: what all threads tell, in one order, for whoever listens.
//!
//! The last events are kept in one ring. A listener takes from it when it can write, and is told how many it missed: so
//! nothing is queued for the slow, and a request costs a glance at a flag while nobody listens. After the last listener has left the ring
//! is filled for a while longer, so that one whose connection broke goes on where it was. What is to be published has a ring of
//! its own: there all the rest would cost every request its words, and push out what is wanted.

mod channel;
mod listener;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
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

use channel::Channel;
pub(crate) use listener::Listener;

use crate::{
    ports::now_ms,
    process::{Phase, lock},
};

/// Where events are told and heard.
#[derive(Debug)]
pub struct Events {
    /// For listeners of the stream: all that happens.
    stream: Arc<Channel>,
    /// For whoever publishes: what the document wants published.
    published: Arc<Channel>,
    /// Jobs, so that the end of each is told once. Known whether or not anybody hears.
    jobs: Mutex<Following>,
    /// Workers that are up, while somebody hears.
    workers: Mutex<Presence>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            stream: Channel::new(REMEMBERED),
            published: Channel::new(Duration::ZERO),
            jobs: Mutex::default(),
            workers: Mutex::default(),
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
        let news: Vec<&Event> = news.collect();
        let record = &epilogue.record;
        let at_ms = record.outcome.now_ms;
        self.push(&news, document, |event| event::line(event, at_ms, Some(record), &document.origins));
    }

    /// Keeps events, put into words, for those who hear of them.
    fn push(&self, news: &[&Event], document: &Document, line: impl Fn(&Event) -> String) {
        let told = |event: &&Event| (event.name(), line(event));
        if self.stream.is_heard() {
            self.stream.push(news.iter().map(told));
        }
        if self.published.is_heard() {
            let wanted = document.events.publish;
            self.published.push(news.iter().filter(|event| wanted.admits(event.name())).map(told));
        }
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
        self.stream.is_heard() || self.published.is_heard()
    }

    /// The jobs that were submitted through this process.
    pub fn jobs(&self) -> MutexGuard<'_, Following> {
        lock(&self.jobs)
    }

    /// Tells of something that belongs to no request.
    pub fn tell_one(&self, event: &Event, document: &Document) {
        if self.is_heard() {
            self.push(&[event], document, |event| event::line(event, now_ms(), None, &document.origins));
        }
    }

    /// A listener's stream, which ends when the process no longer serves.
    ///
    /// # Errors
    /// All places are taken.
    pub fn listen(
        &self,
        listening: &Listening,
        phase: watch::Receiver<Phase>,
    ) -> Result<EventStream, Subscription> {
        let listener = self.stream.listener(listening, phase, || self.begins())?;
        let hello = Bytes::from(format!("retry: {RETRY_MS}\n: events of this gateway\n\n"));
        let events = stream::unfold(listener, |mut listener| async {
            let chunk = listener.chunk().await?;
            Some((chunk, listener))
        });
        Ok(stream::once(std::future::ready(hello)).chain(events).boxed_local())
    }

    /// Whoever publishes. While it is there, what the document wants published is kept for it.
    pub(crate) fn publisher(&self, phase: watch::Receiver<Phase>) -> Result<Listener, Subscription> {
        self.published.listener(&Listening::default(), phase, || self.begins())
    }

    fn begins(&self) {
        if !self.is_heard() {
            lock(&self.jobs).begins();
            lock(&self.workers).begins();
        }
    }
}

/// How long events are kept for a listener who comes back.
const REMEMBERED: Duration = Duration::from_secs(60);
const RETRY_MS: u32 = 2_000;

#[cfg(test)]
mod tests;
