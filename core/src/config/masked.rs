//! The effective configuration, for people: in the shape of the file, without its secrets.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;
use serde_json::{Map, Value, json};

use super::{
    kind::{Form, Kind},
    model::*,
    read::scalars,
    rules,
    settings::Setting,
    toml_text,
};
use crate::gather::gather;

impl Document {
    /// Every effective value in the shape of the file. Secrets are `***`, of keys only the names are shown, and of
    /// `[regions]` what was added to the built-in ones.
    pub fn masked(&self) -> Value {
        let mut root = Map::new();
        for setting in scalars() {
            let value = masked_scalar(setting, self);
            match setting.key.split_once('.') {
                _ if value.is_null() || setting.key.is_empty() => {}
                None => {
                    root.insert(setting.key.to_string(), value);
                }
                Some((section, key)) => {
                    let table = root.entry(section).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(table) = table {
                        table.insert(key.to_string(), value);
                    }
                }
            }
        }
        let lists = [
            ("origins", self.origins.iter().map(origin).collect::<Vec<_>>()),
            ("routes", self.routes.iter().map(route).collect()),
            ("limits", self.limits.iter().map(limit).collect()),
            ("rules", self.rules.iter().map(rules::masked).collect()),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            root.insert(name.to_string(), Value::Array(list));
        }
        if !self.plugins.is_empty() {
            let plugin = |(name, settings): (&String, &PluginSettings)| {
                let config = (!settings.config.is_empty())
                    .then(|| without_texts(Value::Object(settings.config.clone())));
                let settings =
                    json!({ "enabled": settings.enabled, "priority": settings.priority, "config": config });
                (name.clone(), without_nulls(settings))
            };
            root.insert("plugins".to_string(), Value::Object(gather(self.plugins.iter().map(plugin))));
        }
        if let Some(regions) = regions(&self.regions) {
            root.insert("regions".to_string(), regions);
        }
        Value::Object(root)
    }

    /// The same as TOML.
    pub fn to_toml_masked(&self) -> String {
        toml_text::document(&self.masked())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            enabled,
            token_salt: _,
            api_keys,
            worker_tokens,
            job_ownership,
            admin_token,
            failures_per_minute,
        } = self;
        f.debug_struct("Auth")
            .field("enabled", enabled)
            .field("token_salt", &MASK)
            .field("api_keys", api_keys)
            .field("worker_tokens", worker_tokens)
            .field("job_ownership", job_ownership)
            .field("admin_token", admin_token)
            .field("failures_per_minute", failures_per_minute)
            .finish()
    }
}

fn masked_scalar(setting: &Setting, document: &Document) -> Value {
    let value = (setting.show)(document);
    match (&value, setting.kind) {
        _ if !setting.secret => value,
        (Value::Null, _) => value,
        (Value::String(url), Kind::Text(Form::StoreUrl)) => Value::String(masked_url(url)),
        (Value::Array(names), Kind::List(Form::StaticKeys)) => {
            names.iter().filter_map(Value::as_str).map(|name| format!("{name}:{MASK}")).collect()
        }
        (Value::Array(names), Kind::List(Form::HeaderPair)) => {
            names.iter().filter_map(Value::as_str).map(|name| format!("{name}={MASK}")).collect()
        }
        _ => Value::String(MASK.to_string()),
    }
}

/// A store's URL without what may be a password: between the user and the last `@`, and in the query.
fn masked_url(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?***"));
    let Some((scheme, rest)) = url.split_once("://") else { return MASK.to_string() };
    let Some((user, hosts)) = rest.rsplit_once('@') else { return format!("{url}{query}") };
    let user = user.split_once(':').map_or("", |(user, _)| user);
    format!("{scheme}://{user}:{MASK}@{hosts}{query}")
}

fn origin(origin: &Origin) -> Value {
    without_nulls(json!({
        "name": origin.name,
        "url": origin.url.to_string(),
        "region": origin.region,
        "weight": origin.weight.get(),
    }))
}

fn cached(mode: &str, ttl_seconds: Option<u32>, heuristic: bool) -> Value {
    let heuristic = heuristic.then_some(true);
    without_nulls(json!({ "mode": mode, "ttl_seconds": ttl_seconds, "heuristic": heuristic }))
}

fn route(rule: &RouteRule) -> Value {
    let limit = rule.limit.map(|limit| match limit.max_requests {
        None => Value::Bool(false),
        Some(max_requests) => without_nulls(json!({
            "max_requests": max_requests,
            "window_ms": limit.window_ms,
            "algorithm": limit.algorithm.map(Algorithm::name),
        })),
    });
    let cache = rule.cache.map(|cache| match cache {
        RouteCache::Off => Value::Bool(false),
        RouteCache::PerCredential { ttl_seconds, heuristic } => {
            cached("per-credential", ttl_seconds, heuristic)
        }
        RouteCache::Shared { ttl_seconds, heuristic } => cached("shared", ttl_seconds, heuristic),
    });
    let methods: Vec<&str> = rule.methods.iter().map(http::Method::as_str).collect();
    without_nulls(json!({
        "path": rule.path,
        "methods": if methods.is_empty() { Value::Null } else { Value::from(methods) },
        "auth": rule.auth.map(RouteAuth::name),
        "limit": limit,
        "cache": cache,
        "timeout_ms": rule.timeout_ms,
        "retries": rule.retries,
    }))
}

fn limit(limit: &NamedLimit) -> Value {
    without_nulls(json!({
        "name": limit.name,
        "by": limit.by.name(),
        "path": limit.path,
        "limit": limit.limit,
        "window_ms": limit.window_ms,
        "algorithm": limit.algorithm.name(),
        "cost": limit.cost,
        "on_store_error": limit.on_store_error.map(OnStoreError::name),
        "on_demand": limit.on_demand.then_some(true),
    }))
}

/// What differs from the built-in regions.
fn regions(regions: &Regions) -> Option<Value> {
    let built_in = Regions::default();
    let added = regions.aliases.iter().filter(|(alias, name)| built_in.aliases.get(*alias) != Some(*name));
    let aliases: Map<String, Value> =
        gather(added.map(|(alias, name)| (alias.clone(), Value::from(name.as_str()))));
    let added = regions.distances.iter().filter(|(pair, ms)| built_in.distances.get(*pair) != Some(*ms));
    let distance = |((from, to), distance): (&(String, String), &u32)| json!({ "from": from, "to": to, "distance": distance });
    let distances: Vec<Value> = added.map(distance).collect();
    (!aliases.is_empty() || !distances.is_empty())
        .then(|| json!({ "aliases": aliases, "distances": distances }))
}

pub(super) fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(table) = &mut value {
        table.retain(|_, value| !value.is_null());
    }
    value
}

/// Nobody here knows which texts of somebody's own plugin are secrets.
pub(crate) fn without_texts(value: Value) -> Value {
    match value {
        Value::String(_) => Value::String(MASK.to_string()),
        Value::Array(items) => items.into_iter().map(without_texts).collect(),
        Value::Object(entries) => {
            Value::Object(gather(entries.into_iter().map(|(key, value)| (key, without_texts(value)))))
        }
        other => other,
    }
}

/// Stands for a secret.
const MASK: &str = "***";

#[cfg(test)]
mod tests;
