//! Plugins as WebAssembly components: any custom plugin of the document whose `config` names a `component`.
//!
//! A component imports nothing that does anything ([`engine`]), has fuel, memory and time of its own for each call, and is
//! loaded anew when its file changes ([`file`]). What it is told and what it answers is `wit/plugin.wit` ([`speak`]). Start at
//! [`plugins`].

#![forbid(unsafe_code)]

mod engine;
mod file;
mod plugin;
mod speak;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use acip_core::{CompileError, config::Document, plugin::Plugin};

pub use plugin::Component;

/// The plugins of a document that are components.
///
/// # Errors
/// A component that cannot be read or compiled, or settings that are not understood.
pub fn plugins(document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    let settings = document.plugins.iter().filter(|(_, plugin)| plugin.config.contains_key("component"));
    let plugin = |(name, settings): (&String, &acip_core::config::PluginSettings)| {
        let refused = |reason| CompileError::Plugin { name: name.clone(), reason };
        let plugin = Component::open(interned(name), &settings.config).map_err(refused)?;
        Ok(Arc::new(plugin) as Arc<dyn Plugin>)
    };
    settings.map(plugin).collect()
}

/// A name for as long as the process lives; each is kept once, however often documents are read.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}
