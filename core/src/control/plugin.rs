//! A change of one plugin, as a change of the configuration.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value, json};

use crate::config::{Algorithm, CacheBackend, Strategy, WorkerTokens, is_custom, suggestion};

/// What is wanted of a plugin. What is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginWish {
    /// Whether it is asked; `null` leaves it to file and environment again.
    pub enabled: Option<Value>,
    /// Which implementation fills the slot; `null` as above.
    pub implementation: Option<Value>,
    /// Its place in the order; `null` as above.
    pub priority: Option<Value>,
    /// Settings of its section, as a merge patch.
    pub config: Option<Map<String, Value>>,
}

impl PluginWish {
    /// Reads the body of `PATCH /gateway/plugins/{name}`.
    ///
    /// # Errors
    /// All that is wrong with its form, each with its place.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Vec<String>> {
        let mut wish = Self::default();
        let mut wrong = Vec::new();
        for (name, value) in body {
            match (name.as_str(), value) {
                ("enabled", _) => wish.enabled = Some(value.clone()),
                ("implementation", _) => wish.implementation = Some(value.clone()),
                ("priority", _) => wish.priority = Some(value.clone()),
                ("config", Value::Object(config)) => wish.config = Some(config.clone()),
                ("config", _) => wrong.push("config: write an object".to_string()),
                (other, _) => {
                    let near = suggestion(other, ["enabled", "implementation", "priority", "config"]);
                    wrong.push(format!("{other}: unknown key{near}"));
                }
            }
        }
        if body.is_empty() {
            wrong.push("write `enabled`, `implementation`, `priority` or `config`".to_string());
        }
        if wrong.is_empty() { Ok(wish) } else { Err(wrong) }
    }

    /// The same as a patch of the configuration. `current` is the implementation that fills the slot now.
    ///
    /// # Errors
    /// The slot takes no such implementation, or the plugin has no settings.
    pub fn patch(&self, name: &str, current: &str) -> Result<Map<String, Value>, String> {
        let mut patch = Map::new();
        for (key, value) in [("enabled", &self.enabled), ("priority", &self.priority)] {
            if let Some(value) = value {
                put(&mut patch, &["plugins", name, key], value.clone());
            }
        }
        if let Some(config) = &self.config {
            match section(name) {
                Some(section) => put(&mut patch, &[section], Value::Object(config.clone())),
                None if is_custom(name) => {
                    put(&mut patch, &["plugins", name, "config"], Value::Object(config.clone()));
                }
                None => return Err(format!("config: `{name}` has no settings of its own")),
            }
        }
        match (&self.implementation, slot(name)) {
            (None, _) => {}
            (Some(wanted), Some(slot)) => {
                put(&mut patch, &[slot.section, slot.key], wanted.clone());
            }
            // To ask for what is there already is no change.
            (Some(wanted), None) if *wanted == json!(current) => {}
            (Some(_), None) => {
                return Err(format!("implementation: `{current}` is the only one of `{name}`"));
            }
        }
        Ok(patch)
    }
}

/// The implementations that a plugin's slot takes; none: one alone.
pub fn implementations(name: &str) -> &'static [&'static str] {
    slot(name).map_or(&[], |slot| slot.words)
}

/// Where a slot's implementation stands in the document.
struct SlotPlace {
    section: &'static str,
    key: &'static str,
    words: &'static [&'static str],
}

fn slot(name: &str) -> Option<SlotPlace> {
    let (section, key, words) = match name {
        "rate-limit-plugin" => ("rate_limit", "algorithm", Algorithm::NAMES),
        "cache-plugin" => ("cache", "backend", CacheBackend::NAMES),
        "router-plugin" => ("router", "strategy", Strategy::NAMES),
        "auth-plugin" => ("auth", "worker_tokens", WorkerTokens::NAMES),
        _ => return None,
    };
    Some(SlotPlace { section, key, words })
}

/// The section of the document with a plugin's settings.
fn section(name: &str) -> Option<&'static str> {
    Some(match name {
        "auth-plugin" => "auth",
        "rate-limit-plugin" => "rate_limit",
        "cache-plugin" => "cache",
        "router-plugin" => "router",
        "metrics-plugin" => "metrics",
        "cors-plugin" => "cors",
        _ => return None,
    })
}

/// Sets a value at a path, keeping what stands beside it.
fn put(tree: &mut Map<String, Value>, path: &[&str], value: Value) {
    match (path, value) {
        ([], _) => {}
        ([last], Value::Object(value)) => {
            let slot = tree.entry(*last).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(table) = slot {
                table.extend(value);
            }
        }
        ([last], value) => {
            tree.insert((*last).to_string(), value);
        }
        ([first, rest @ ..], value) => {
            let slot = tree.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(table) = slot {
                put(table, rest, value);
            }
        }
    }
}
