//! From the stored document and a wish to the next stored document, or all that is wrong with the wish.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value};

use super::{PluginWish, Stored, merge::merge_patch};
use crate::{
    config::{ConfigErrors, Document},
    gateway::{CompileError, Gateway},
    plugins::cache::purge,
    store::Op,
};

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A JSON merge patch (RFC 7396) of the overlay.
    Patch(Map<String, Value>),
    /// A change of one plugin.
    Plugin {
        /// Its name.
        name: String,
        /// What is wanted of it.
        wish: PluginWish,
    },
    /// The overlay of an earlier version.
    Rollback {
        /// Which; 0: as if nothing had ever been changed.
        version: u64,
        /// Also where that opens doors that now ask for an API key.
        allow_open: bool,
    },
}

impl Wish {
    /// As an audit names it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Patch(_) => "config.change",
            Self::Plugin { .. } => "plugins.change",
            Self::Rollback { .. } => "config.rollback",
        }
    }

    /// What it is about: a plugin, or the version that is gone back to.
    pub fn subjects(&self) -> Vec<String> {
        match self {
            Self::Patch(_) => Vec::new(),
            Self::Plugin { name, .. } => Vec::from([name.clone()]),
            Self::Rollback { version, .. } => Vec::from([version.to_string()]),
        }
    }
}

/// A change that can be written.
pub struct Change {
    /// The next stored document.
    pub stored: Stored,
    /// The gateway that it makes.
    pub gateway: Gateway,
    /// Whether it differs from what is stored; if not, there is nothing to write.
    pub differs: bool,
    /// What the store is told in the same batch, whether it takes the change or somebody else was faster.
    pub besides: Option<Op>,
}

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// Values that are not accepted, each with its place.
    #[error("the change is not accepted")]
    Invalid(Vec<String>),
    /// What would come of it does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// No such plugin.
    #[error("no plugin is called `{0}`; `GET /gateway/plugins` lists them")]
    NoPlugin(String),
    /// No such version.
    #[error("version {0} is not kept; the history lists those that are")]
    NoVersion(u64),
    /// Going back would open doors.
    #[error(
        "in version {0} doors that ask for an API key now are open: say `\"allow_open\": true` if that is meant"
    )]
    Opens(u64),
    /// The overlay would be too long.
    #[error("all changes together are longer than {MAX_OVERLAY_BYTES} bytes: write them to the file instead")]
    TooLong,
}

impl From<ConfigErrors> for Rejected {
    fn from(errors: ConfigErrors) -> Self {
        Self::Invalid(errors.iter().map(ToString::to_string).collect())
    }
}

impl Change {
    /// Makes the next stored document. `gateway` is any gateway over the same base; `by` is who wants it.
    ///
    /// # Errors
    /// See [`Rejected`]: nothing is stored that the gateway could not run.
    pub fn make(
        gateway: &Gateway,
        stored: &Stored,
        wish: &Wish,
        by: &str,
        now_ms: u64,
    ) -> Result<Self, Rejected> {
        let mut overlay = stored.now.overlay.clone();
        match wish {
            Wish::Patch(patch) => merge_patch(&mut overlay, patch),
            Wish::Plugin { name, wish } => {
                let plugin = gateway.plugin(name).ok_or_else(|| Rejected::NoPlugin(name.clone()))?;
                let patch = wish.patch(name, plugin.implementation());
                let patch = patch.map_err(|message| Rejected::Invalid(Vec::from([message])))?;
                merge_patch(&mut overlay, &patch);
            }
            Wish::Rollback { version, allow_open } => {
                overlay = stored.find(*version).ok_or(Rejected::NoVersion(*version))?.overlay;
                let before = lay(gateway.base(), &stored.now.overlay);
                let was_closed = before.is_ok_and(|before| before.checks_keys());
                if !allow_open && was_closed && !lay(gateway.base(), &overlay)?.checks_keys() {
                    return Err(Rejected::Opens(*version));
                }
            }
        }
        let next = stored.next(overlay, by, now_ms);
        if print(&next.now.overlay).len() > MAX_OVERLAY_BYTES {
            return Err(Rejected::TooLong);
        }
        let differs = next.now.overlay != stored.now.overlay;
        // Whoever kept its cache elsewhere told the store of no change of what it had fetched before.
        let moved = cache_backend(&next.now.overlay) != cache_backend(&stored.now.overlay);
        let besides = moved.then(|| purge::everything(&gateway.base().store.key_prefix, now_ms));
        let stored = if differs { next } else { stored.clone() };
        let document = lay(gateway.base(), &stored.now.overlay)?;
        let gateway = gateway.overlaid(document, stored.now.version)?;
        Ok(Self { stored, gateway, differs, besides })
    }
}

/// What an overlay says of where the cache is.
fn cache_backend(overlay: &Map<String, Value>) -> Option<&Value> {
    overlay.get("cache")?.get("backend")
}

/// An overlay over a base.
pub(crate) fn lay(base: &Document, overlay: &Map<String, Value>) -> Result<Document, ConfigErrors> {
    base.overlaid("change", &print(overlay))
}

fn print(overlay: &Map<String, Value>) -> String {
    serde_json::to_string(overlay).unwrap_or_default()
}

/// Longest overlay in bytes.
const MAX_OVERLAY_BYTES: usize = 64 * 1024;
