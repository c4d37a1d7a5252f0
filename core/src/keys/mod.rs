//! API key records as the store holds them (contract sections 8 and 10): made, changed, read and shown here, so
//! that the command line and the admin API cannot disagree. Start at [`KeyRecord`].

pub mod check;
mod wish;

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use core::fmt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{config::Secret, facts::Entropy, hex::hex};

pub use crate::time::iso8601;
pub use wish::KeyWish;

/// One API key, without the key itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRecord {
    /// Unique, `key_…`; safe to log.
    pub id: String,
    /// For people.
    pub name: String,
    /// Owner of jobs; keys of one tenant see each other's jobs.
    pub tenant: String,
    /// `admin`, or empty.
    pub role: String,
    /// The key's first characters, to recognise it by.
    pub prefix: String,
    /// Refused while false.
    pub enabled: bool,
    /// Unix ms.
    pub created_at: u64,
    /// Unix ms; none: never.
    pub expires_at: Option<u64>,
    /// Limits in place of the default one.
    pub limits: Vec<KeyLimit>,
    /// Requests per day (UTC), on top of the limits.
    pub daily_limit: Option<u32>,
    /// Path patterns it may use; empty: all.
    pub routes: Vec<String>,
    /// Networks it may come from; empty: all.
    pub ip_allow: Vec<String>,
}

/// One of a key's own limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// Part of the counter's name and of `RateLimit-Policy`.
    pub name: String,
    /// Units per window.
    pub limit: u32,
    /// Window length, ms.
    pub window_ms: u64,
    /// `sliding-window` (if absent), `sliding-log`, `token-bucket`, `fixed-window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Units one request costs; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
}

/// A fresh key: shown once, stored only as a hash.
#[derive(Clone, Debug)]
pub struct FreshKey {
    /// Its id.
    pub id: String,
    /// The key itself.
    pub key: Secret,
    /// Its recognisable start.
    pub prefix: String,
}

/// A stored record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// Which field.
    pub field: &'static str,
}

impl fmt::Display for UnreadableRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stored field `{}` cannot be read; create the key anew", self.field)
    }
}

impl FreshKey {
    /// Makes a key of 256 bits from `chance`, and an id from `id_chance`.
    pub fn new(chance: [u8; 32], id_chance: [u8; 8]) -> Self {
        let key = alloc::format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(chance));
        let prefix = key.chars().take(PREFIX_CHARS).collect();
        Self { id: alloc::format!("key_{}", hex(&id_chance)), key: Secret::new(key), prefix }
    }

    /// As [`FreshKey::new`], from chance that is shown to nobody.
    pub(crate) fn from_entropy(entropy: &Entropy) -> Self {
        let mut chance = [0; 32];
        for (place, byte) in chance.iter_mut().zip(entropy.request.iter().chain(&entropy.trace)) {
            *place = *byte;
        }
        Self::new(chance, entropy.span)
    }
}

impl KeyRecord {
    /// The hash fields of the store; [`KeyRecord::from_fields`] reads them back.
    pub fn to_fields(&self) -> Vec<(String, String)> {
        let json = |value: Value| alloc::string::ToString::to_string(&value);
        let mut fields: Vec<(&str, String)> = alloc::vec![
            ("id", self.id.clone()),
            ("name", self.name.clone()),
            ("tenant", self.tenant.clone()),
            ("role", self.role.clone()),
            ("prefix", self.prefix.clone()),
            ("enabled", String::from(if self.enabled { "1" } else { "0" })),
            ("created_at", alloc::string::ToString::to_string(&self.created_at)),
        ];
        if let Some(at) = self.expires_at {
            fields.push(("expires_at", alloc::string::ToString::to_string(&at)));
        }
        if !self.limits.is_empty() {
            fields.push(("limits", json(json!(self.limits))));
        }
        if let Some(limit) = self.daily_limit {
            fields.push(("daily_limit", alloc::string::ToString::to_string(&limit)));
        }
        if !self.routes.is_empty() {
            fields.push(("routes", json(json!(self.routes))));
        }
        if !self.ip_allow.is_empty() {
            fields.push(("ip_allow", json(json!(self.ip_allow))));
        }
        fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    /// What must be set, or taken away, in the store's hash of `self` to make it that of `to`.
    pub fn changes(&self, to: &Self) -> Vec<(String, Option<String>)> {
        let (old, new) = (self.to_fields(), to.to_fields());
        let gone = old.iter().filter(|(name, _)| !new.iter().any(|(kept, _)| kept == name));
        let gone: Vec<_> = gone.map(|(name, _)| (name.clone(), None)).collect();
        let set = new.into_iter().filter(|field| !old.contains(field));
        set.map(|(name, value)| (name, Some(value))).chain(gone).collect()
    }

    /// Reads the store's hash. Fields that are absent take their empty value; `enabled` is true unless it is `0`.
    ///
    /// # Errors
    /// A field that is there but cannot be read.
    pub fn from_fields(fields: &BTreeMap<String, String>) -> Result<Self, UnreadableRecord> {
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let list = |field: &'static str| -> Result<Vec<String>, UnreadableRecord> {
            match fields.get(field).map(String::as_str) {
                None | Some("") => Ok(Vec::new()),
                Some(json) => serde_json::from_str(json).map_err(|_| UnreadableRecord { field }),
            }
        };
        let limits = match fields.get("limits").map(String::as_str) {
            None | Some("") => Vec::new(),
            Some(json) => serde_json::from_str(json).map_err(|_| UnreadableRecord { field: "limits" })?,
        };
        Ok(Self {
            id: text("id"),
            name: text("name"),
            tenant: text("tenant"),
            role: text("role"),
            prefix: text("prefix"),
            enabled: fields.get("enabled").map(String::as_str) != Some("0"),
            created_at: number(fields, "created_at")?.unwrap_or_default(),
            expires_at: number(fields, "expires_at")?,
            limits,
            daily_limit: number(fields, "daily_limit")?.and_then(|it| u32::try_from(it).ok()),
            routes: list("routes")?,
            ip_allow: list("ip_allow")?,
        })
    }

    /// The record as users see it: times in ISO-8601 UTC, what is unset `null`.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "tenant": self.tenant,
            "role": if self.role.is_empty() { Value::Null } else { Value::from(self.role.as_str()) },
            "prefix": self.prefix,
            "enabled": self.enabled,
            "created_at": iso8601(self.created_at),
            "expires_at": self.expires_at.map(iso8601),
            "limits": self.limits,
            "daily_limit": self.daily_limit,
            "routes": self.routes,
            "ip_allow": self.ip_allow,
        })
    }
}

fn number(fields: &BTreeMap<String, String>, field: &'static str) -> Result<Option<u64>, UnreadableRecord> {
    match fields.get(field).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| UnreadableRecord { field }),
    }
}

/// Tells our keys from other secrets in a leak scan.
const KEY_PREFIX: &str = "acip_";

/// As many characters as the backend keeps of its own keys.
const PREFIX_CHARS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn record() -> KeyRecord {
        KeyRecord {
            id: "key_1".into(),
            name: "ci".into(),
            tenant: "acme".into(),
            role: "admin".into(),
            prefix: "acip_AAAAA".into(),
            enabled: false,
            created_at: 1_767_225_600_000,
            expires_at: Some(1_767_225_601_000),
            limits: alloc::vec![KeyLimit {
                name: "burst".into(),
                limit: 5,
                window_ms: 1000,
                algorithm: Some("sliding-log".into()),
                cost: None,
            }],
            daily_limit: Some(9),
            routes: alloc::vec!["/api/v1/jobs".into()],
            ip_allow: alloc::vec!["10.0.0.0/8".into()],
        }
    }

    #[test]
    fn a_record_survives_the_store() {
        for record in [record(), KeyRecord { enabled: true, ..KeyRecord::default() }] {
            let fields = record.to_fields().into_iter().collect();
            assert_eq!(KeyRecord::from_fields(&fields), Ok(record));
        }
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named() {
        for (field, value) in [("limits", "[{]"), ("expires_at", "soon"), ("routes", "{}"), ("ip_allow", "1")]
        {
            let fields = [(String::from(field), String::from(value))].into_iter().collect();
            assert_eq!(KeyRecord::from_fields(&fields), Err(UnreadableRecord { field }));
        }
    }

    #[test]
    fn people_see_times_and_nulls() {
        let shown = record().to_json();
        assert_eq!(shown["created_at"], "2026-01-01T00:00:00Z");
        assert_eq!(
            shown["limits"][0],
            json!({"name":"burst","limit":5,"window_ms":1000,"algorithm":"sliding-log"})
        );
        assert_eq!(KeyRecord::default().to_json()["expires_at"], Value::Null);
    }

    #[test]
    fn a_fresh_key_is_long_and_never_formatted() {
        let fresh = FreshKey::new([7; 32], [1; 8]);
        assert_eq!(fresh.key.expose_secret().len(), 48);
        assert_eq!(fresh.prefix, "acip_BwcHB");
        assert!(!format!("{fresh:?}").contains("BwcHBwcHBwc"));
    }
}
