//! Configuration that changes while the gateway runs (contract sections 3 and 8).
//!
//! One string in the store, [`Stored`], holds everything that was changed: an overlay in the shape of the file, laid
//! over what each gateway's own file and environment say, and the last twenty versions of it with who made them and
//! when. A change is a function from that string and a [`Wish`] to the next string ([`Change::make`]), written only where
//! nobody else has written in between; the admin API and the command line share it. A gateway follows by
//! [`Gateway::follow`](crate::Gateway::follow).
//!
//! It neither reads nor writes the store.

mod change;
mod follow;
mod merge;
mod plugin;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use change::lay;
pub use change::{Change, Rejected, Wish};
pub use follow::{Followed, is_news, same_origins, takes_over};
pub use merge::{leaves, merge_patch};
pub use plugin::{PluginWish, implementations};
pub use stored::{MAX_STORED_BYTES, Stored, Unreadable, Version, version_of};

use alloc::{format, string::String};

use crate::config::Document;

/// Where the stored document of a document's gateways is.
pub fn key(document: &Document) -> String {
    format!("{}config", document.store.key_prefix)
}
