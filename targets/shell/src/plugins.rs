//! The plugins of this build: the built-in ones, then one's own. Every target compiles its gateway here, so a plugin that is
//! named here is in all of them; a program that uses a target as a library names its own with [`register`].
//!
//! One's own plugins are guarded ([`Guarded`]): one that panics fails by itself, where the platform can catch that.

mod guarded;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use acip_core::{Gateway, config::Document, gateway::CompileError, plugin::Plugin};

pub use guarded::Guarded;

/// Makes one's own plugins for a document; called whenever one is read, so whatever lasts must be shared. An error refuses
/// the document.
pub type Plugins = fn(&Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError>;

/// Plugins of one's own for every target: name their crate in `targets/shell/Cargo.toml` and add them here.
#[cfg(not(feature = "example"))]
fn own(_document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    Ok(Vec::new())
}

#[cfg(feature = "example")]
use custom_plugin::plugins as own;

/// Adds plugins to every gateway that this process compiles from now on. Returns false if some were registered before:
/// those stay.
pub fn register(plugins: Plugins) -> bool {
    REGISTERED.set(plugins).is_ok()
}

/// Compiles a document with the plugins of this build.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(document: Document) -> Result<Gateway, CompileError> {
    compile_with(document, REGISTERED.get().copied().unwrap_or(|_| Ok(Vec::new())))
}

/// Compiles a document with the plugins of this build and some more.
///
/// # Errors
/// See [`CompileError`].
pub fn compile_with(document: Document, plugins: Plugins) -> Result<Gateway, CompileError> {
    let makes = move |document: &Document| {
        let mut all = acip_core::plugins::builtin(document)?;
        let own = own(document)?.into_iter().chain(plugins(document)?);
        all.extend(own.map(|plugin| Arc::new(Guarded::new(plugin)) as Arc<dyn Plugin>));
        Ok(all)
    };
    Gateway::compile_with(document, Arc::new(makes))
}

static REGISTERED: OnceLock<Plugins> = OnceLock::new();
