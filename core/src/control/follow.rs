//! What a gateway makes of the text that the store holds.

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use super::{Stored, version_of};
use crate::{
    config::{CacheBackend, LogLevel},
    event::Event,
    gateway::Gateway,
    origins::Board,
    plugins::cache::purge,
    store::{Batch, NO_VERSION},
    telemetry::notice,
};

/// A text of the store, and what became of it.
pub struct Followed {
    /// The gateway that is in force from here on; the old one where the text is bad.
    pub gateway: Arc<Gateway>,
    /// The version that counts as seen. A bad text is not tried again.
    pub seen: u64,
    /// Who made the change.
    pub by: String,
    /// What differs from the version before it: dotted paths.
    pub paths: Vec<String>,
    /// What is wrong with it; empty: nothing.
    pub errors: Vec<String>,
}

impl Followed {
    /// Lays what the text says over the base of this gateway; nothing at all takes every change back.
    pub fn new(gateway: &Arc<Gateway>, text: &[u8]) -> Self {
        let seen = version_of(text);
        let said = Stored::parse(text).map(|stored| stored.now).unwrap_or_default();
        let (gateway, errors) = match gateway.follow(text) {
            Ok(next) => (Arc::new(next), Vec::new()),
            Err(errors) => (Arc::clone(gateway), errors),
        };
        Self { gateway, seen, by: said.by, paths: said.paths, errors }
    }

    /// The version for people; 0 where there is none.
    pub fn version(&self) -> u64 {
        if self.seen == NO_VERSION { 0 } else { self.seen }
    }

    /// What there is to say to the operator.
    pub fn message(&self) -> (LogLevel, String) {
        let version = self.version();
        if self.errors.is_empty() {
            (LogLevel::Info, format!("stored configuration version {version} is in force"))
        } else {
            (LogLevel::Error, format!("stored configuration version {version} is bad; the old one stays"))
        }
    }

    /// For whoever listens: a text that is bad is an error of the plugin that keeps it.
    pub fn event(&self) -> Option<Event> {
        (!self.errors.is_empty())
            .then(|| Event::PluginError { plugin: "admin-plugin", detail: self.detail() })
    }

    /// The same as a line of the log.
    pub fn line(&self, now_ms: u64) -> String {
        let (level, message) = self.message();
        notice::json_line(now_ms, level, &message, Some(&self.detail()))
    }

    /// Who changed what, or what is wrong.
    pub fn detail(&self) -> String {
        if !self.errors.is_empty() {
            return self.errors.join("; ");
        }
        match self.paths.as_slice() {
            [] => "every change is taken back".to_string(),
            paths => format!("by {}: {}", self.by, paths.join(", ")),
        }
    }

    /// The board for the origins of this gateway, from that of the one before: what is known of an origin stays with it.
    pub fn board(before: &Gateway, board: &Board, after: &Gateway) -> Board {
        let (before, after) = (&before.document().origins, &after.document().origins);
        let place = |origin| before.iter().position(|known| known == origin);
        board.arranged(after.iter().map(place))
    }
}

/// Whether a gateway that has seen one version takes a text over that the store gave to somebody who had seen version
/// `asked`: also where another request has brought a change meanwhile, if this one is newer.
pub fn is_news(seen: u64, asked: u64, text: &[u8]) -> bool {
    seen == asked || version_of(text) > seen
}

/// What the memory of a process is told when one gateway takes the place of another: where the cache comes to be kept there, what was
/// kept there at an earlier time counts no more, for it was not told of changes meanwhile.
pub fn takes_over(before: &Gateway, after: &Gateway, now_ms: u64) -> Option<Batch> {
    let (was, is) = (before.document().cache.backend, after.document().cache.backend);
    let comes = was != is && is == CacheBackend::Memory;
    let op = comes.then(|| purge::everything(&after.document().store.key_prefix, now_ms))?;
    Some(Batch { now_ms, ops: Vec::from([op]) })
}

/// Whether two gateways have the same origins in the same places.
pub fn same_origins(one: &Gateway, other: &Gateway) -> bool {
    one.document().origins == other.document().origins
}
