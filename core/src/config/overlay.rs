//! What was changed while the gateway runs, laid over what file and environment say.
//!
//! The overlay has the shape of the file. It holds neither secrets (the store keeps it in clear, and its history with
//! it) nor what counts only when a process starts: one overlay is for all gateways on a store, and where each of them
//! listens is its own.

use alloc::{collections::BTreeMap, format, string::String};

use super::{
    check,
    error::{ConfigErrors, Faults},
    model::Document,
    read::{Places, read_file, scalars},
    settings::Setting,
    tree::{self, Entry, Format, Node, Source, Tree},
};

impl Document {
    /// Lays an overlay over this document: JSON in the shape of the file. `name` is what errors call it.
    ///
    /// # Errors
    /// All that is wrong with it, or with what comes of it.
    pub fn overlaid(&self, name: &str, overlay: &str) -> Result<Self, ConfigErrors> {
        let mut document = self.clone();
        let mut faults = Faults::new(name, overlay);
        let mut places = Places::new();
        if let Some(mut root) = tree::parse(Source { name, text: overlay, format: Format::Json }, &mut faults)
        {
            fixed(&mut root, &mut faults);
            read_file(&root, &mut document, &mut places, &mut faults);
        }
        check::across(&mut document, &BTreeMap::new(), &places, &mut faults);
        faults.finish()?;
        Ok(document)
    }

    /// Whether a door that wants an API key asks for one.
    pub fn checks_keys(&self) -> bool {
        let switch = self.plugins.get("auth-plugin").and_then(|settings| settings.enabled);
        self.auth.enabled && switch.unwrap_or(true)
    }
}

/// The variables whose settings differ between two documents and that a process reads once, when it starts.
pub fn waits_for_start(one: &Document, other: &Document) -> impl Iterator<Item = &'static str> {
    let differs = |setting: &&Setting| (setting.show)(one) != (setting.show)(other);
    let waits = |setting: &&Setting| AT_START.contains(&setting.key) || STORE_SECRETS.contains(&setting.key);
    scalars().filter(waits).filter(differs).map(|setting| setting.env)
}

/// Takes out what no overlay may hold, and notes it.
fn fixed(root: &mut Node, faults: &mut Faults<'_>) {
    let Tree::Table(entries) = &mut root.tree else { return };
    for Entry { key: section, node, .. } in entries {
        let Tree::Table(fields) = &mut node.tree else { continue };
        fields.retain(|field| {
            if matches!(field.node.tree, Tree::Null) {
                return true;
            }
            let key = format!("{section}.{}", field.key);
            let Some(setting) = scalars().find(|setting| setting.key == key) else { return true };
            let Some(message) = why_fixed(setting) else { return true };
            faults.in_file(&key, field.at, message);
            false
        });
    }
}

fn why_fixed(setting: &Setting) -> Option<String> {
    if setting.secret {
        let instead =
            if setting.env == "AUTH_API_KEYS" { " or make a key with `POST /gateway/keys`" } else { "" };
        return Some(format!(
            "a secret is not kept where every change is: set `{}` or the file, and reload{instead}",
            setting.env
        ));
    }
    AT_START.contains(&setting.key).then(|| {
        format!(
            "this counts only when a gateway starts: set `{}` or the file, and start it anew",
            setting.env
        )
    })
}

/// Keys of secrets that are read then, too.
const STORE_SECRETS: &[&str] = &["store.url", "store.password", "store.rest_token"];

/// Keys of what a process reads once, when it starts.
pub const AT_START: &[&str] = &[
    "server.host",
    "server.port",
    "server.threads",
    "server.tls_cert",
    "server.tls_key",
    "server.shutdown_grace_ms",
    "server.max_connections",
    "store.db",
    "store.key_prefix",
    "store.timeout_ms",
    "cache.max_entries",
    "log.format",
    "log.trace_record",
    "log.trace_max_bytes",
];

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn what_waits_for_a_start_is_named() {
        let started = Document::default();
        let mut new = started.clone();
        new.server.port += 1;
        new.store.key_prefix = "other:".into();
        new.store.password = Some(Secret::new("hidden"));
        new.rate_limit.max_requests += 1;
        let named: Vec<_> = waits_for_start(&started, &new).collect();
        assert_eq!(named, ["GATEWAY_PORT", "REDIS_PASSWORD", "REDIS_KEY_PREFIX"]);
        assert_eq!(waits_for_start(&new, &new.clone()).next(), None);
    }
}
