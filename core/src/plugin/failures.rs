//! Which plugins failed lately: a fold over events, from which pages have the state `error`. It counts nothing (metrics do)
//! and changes no decision.

use alloc::vec::Vec;

use crate::event::Event;

/// The latest failure of each plugin. One per process or instance.
#[derive(Clone, Debug, Default)]
pub struct Failures(Vec<(&'static str, u64)>);

impl Failures {
    /// Notes what an event tells, if it is of a plugin that failed.
    pub fn note(&mut self, event: &Event, now_ms: u64) {
        let Event::PluginError { plugin, .. } = event else { return };
        if let Some((_, at_ms)) = self.0.iter_mut().find(|(name, _)| name == plugin) {
            *at_ms = now_ms;
            return;
        }
        if self.0.len() >= MAX_PLUGINS {
            self.0.retain(|(_, at_ms)| is_recent(*at_ms, now_ms));
        }
        if self.0.len() < MAX_PLUGINS {
            self.0.push((plugin, now_ms));
        }
    }

    /// Names of those that failed within the last minute.
    pub fn recent(&self, now_ms: u64) -> Vec<&'static str> {
        self.0.iter().filter(|(_, at_ms)| is_recent(*at_ms, now_ms)).map(|(name, _)| *name).collect()
    }
}

fn is_recent(at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(at_ms) < RECENT_MS
}

/// As long as operators look, and as short as a mended plugin should be called bad.
const RECENT_MS: u64 = 60_000;
/// Plugins come and go with documents; more than these are not in one.
const MAX_PLUGINS: usize = 64;
