//! The order of plugins: a stable topological sort. Of those whose dependencies have come, the first of the list comes next.

use alloc::{string::String, sync::Arc, vec::Vec};

use super::Plugin;
use crate::gateway::CompileError;

/// Sorts plugins that are in order of priority, so that each comes after those that it needs.
pub(super) fn sorted(mut rest: Vec<Arc<dyn Plugin>>) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    for (index, plugin) in rest.iter().enumerate() {
        if has(rest.get(index + 1..).unwrap_or_default(), plugin.name()) {
            return Err(CompileError::DuplicatePlugin { name: plugin.name() });
        }
        // One that only guards its doors does not do what it is needed for.
        let there = |needed: &str| rest.iter().any(|other| other.name() == needed && !other.is_idle());
        if let Some(needed) = plugin.dependencies().iter().find(|needed| !there(needed)) {
            return Err(CompileError::MissingDependency { name: plugin.name(), needed });
        }
    }
    let mut sorted = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let free = |plugin: &Arc<dyn Plugin>| waits_for(&rest, &**plugin).is_none();
        let Some(next) = rest.iter().position(free) else {
            return Err(CompileError::DependencyCycle { cycle: cycle(&rest) });
        };
        sorted.push(rest.remove(next));
    }
    Ok(sorted)
}

/// The first dependency of a plugin that is among these.
fn waits_for(rest: &[Arc<dyn Plugin>], plugin: &dyn Plugin) -> Option<&'static str> {
    plugin.dependencies().iter().copied().find(|needed| has(rest, needed))
}

fn has(plugins: &[Arc<dyn Plugin>], name: &str) -> bool {
    plugins.iter().any(|plugin| plugin.name() == name)
}

/// Names plugins of which each waits for the next, and the last for the first. All of `rest` wait for one of `rest`.
fn cycle(rest: &[Arc<dyn Plugin>]) -> String {
    let mut way: Vec<&'static str> = Vec::new();
    let mut next = rest.first().map(|plugin| plugin.name());
    while let Some(name) = next {
        way.push(name);
        if let Some(began) = way.iter().position(|before| *before == name).filter(|at| at + 1 < way.len()) {
            return way.split_off(began).join("` needs `");
        }
        let plugin = rest.iter().find(|plugin| plugin.name() == name);
        next = plugin.and_then(|plugin| waits_for(rest, &**plugin));
    }
    // INVARIANT: among finitely many plugins that all wait, the way comes to one of them again.
    String::new()
}
