//! The stored document: versions of the overlay, newest first.
//!
//! It begins with its version, so that the store can tell whether a gateway has seen it without reading the rest:
//! `{"version":7,"at":1750000000000,"by":"ADMIN_TOKEN","paths":["router.strategy"],"overlay":{…},"history":[…]}`.

use alloc::{collections::VecDeque, string::String, vec::Vec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{config::without_texts, keys::iso8601};

pub use crate::store::version_of;

/// One state of the overlay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// When it was made, unix ms, and always more than the one before; 0 is the state in which nothing was ever changed.
    pub version: u64,
    /// When it was made, unix ms.
    #[serde(default)]
    pub at: u64,
    /// Who made it: the name of a token, or the command line.
    #[serde(default)]
    pub by: String,
    /// What differs from the version before: dotted paths.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What was changed, in the shape of the file.
    #[serde(default)]
    pub overlay: Map<String, Value>,
}

/// The stored document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What is in force.
    #[serde(flatten)]
    pub now: Version,
    /// What was, newest first.
    #[serde(default)]
    pub history: VecDeque<Version>,
}

/// The stored document is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored configuration cannot be read: {0}; delete its key in the store to begin anew")]
pub struct Unreadable(pub String);

impl Stored {
    /// Reads what the store holds; nothing at all is the state in which nothing was changed.
    ///
    /// # Errors
    /// It is not a document of this kind, or longer than [`MAX_STORED_BYTES`].
    pub fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MAX_STORED_BYTES {
            return Err(Unreadable("it is longer than any gateway writes".into()));
        }
        let stored: Self =
            serde_json::from_slice(text).map_err(|error| Unreadable(alloc::format!("{error}")))?;
        if stored.now.version == 0 || version_of(text) != stored.now.version {
            return Err(Unreadable("it does not begin with its version".into()));
        }
        Ok(stored)
    }

    /// As the store holds it.
    pub fn print(&self) -> String {
        // INVARIANT: maps with text for keys, numbers and texts: nothing that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A version that can be gone back to; 0 is always one.
    pub fn find(&self, version: u64) -> Option<Version> {
        let mut all = core::iter::once(&self.now).chain(&self.history);
        let nothing = || (version == 0).then(Version::default);
        all.find(|known| known.version == version).cloned().or_else(nothing)
    }

    /// The versions for people, newest first. An overlay holds no secret of the gateway's; what its own plugins are given is
    /// hidden as in the configuration.
    pub fn page(&self) -> Value {
        let entry = |version: &Version| {
            json!({
                "version": version.version,
                "at": iso8601(version.at),
                "by": version.by,
                "changed": version.paths,
                "overlay": shown(&version.overlay),
            })
        };
        let all = core::iter::once(&self.now).filter(|now| now.version > 0).chain(&self.history);
        json!({ "version": self.now.version, "history": all.map(entry).collect::<Vec<_>>() })
    }

    /// Puts an overlay in force as the next version. The oldest versions leave where they are too many or too long.
    ///
    /// A store may lose what it was told, and gateways that saw it do not: a number that only counted would come again
    /// with something else in it, and be taken for what they know.
    #[must_use]
    pub fn next(&self, overlay: Map<String, Value>, by: &str, at: u64) -> Self {
        let mut paths = super::merge::differing(&self.now.overlay, &overlay);
        paths.truncate(MAX_PATHS);
        let version = self.now.version.saturating_add(1).max(at);
        let now = Version { version, at, by: by.chars().take(MAX_BY).collect(), paths, overlay };
        let mut history = self.history.clone();
        if self.now.version > 0 {
            history.push_front(self.now.clone());
        }
        history.truncate(KEPT.saturating_sub(1));
        let mut next = Self { now, history };
        while next.print().len() > MAX_STORED_BYTES && next.history.pop_back().is_some() {}
        next
    }
}

/// An overlay for people.
fn shown(overlay: &Map<String, Value>) -> Value {
    let mut shown = overlay.clone();
    if let Some(Value::Object(plugins)) = shown.get_mut("plugins") {
        for config in plugins.values_mut().filter_map(|settings| settings.get_mut("config")) {
            *config = without_texts(config.take());
        }
    }
    Value::Object(shown)
}

/// Versions that are kept, the one in force among them.
const KEPT: usize = 20;
/// Longest stored document in bytes: it travels to every gateway at each change.
pub const MAX_STORED_BYTES: usize = 512 * 1024;
/// Paths that are named of one change.
const MAX_PATHS: usize = 50;
/// Characters of who made a change.
const MAX_BY: usize = 80;
