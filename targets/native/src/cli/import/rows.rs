//! What a row of the backend's database means for the gateway: pure. Start at [`WorkerRow::meaning`] and
//! [`KeyRow::meaning`].
//!
//! What cannot be read refuses: a column that was meant to restrict never opens a door.

use acip_core::{
    keys::{KeyLimit, KeyRecord},
    plugins::auth::WorkerToken,
};
use serde_json::Value;

/// A row of the table of workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkerRow {
    pub(super) id: String,
    /// SHA-256 hex of `salt + ":" + token`.
    pub(super) hash: Option<String>,
    /// Unix ms.
    pub(super) expires_at: Option<i64>,
    /// Unix ms.
    pub(super) locked_until: Option<i64>,
}

/// A row of the table of enterprise keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyRow {
    pub(super) id: String,
    /// SHA-256 hex of the key.
    pub(super) hash: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) name: Option<String>,
    pub(super) tenant: Option<String>,
    /// Whether a column of the table says that the key is switched off.
    pub(super) is_off: bool,
    /// Unix ms.
    pub(super) created_at: Option<i64>,
    /// Unix ms.
    pub(super) expires_at: Option<i64>,
    pub(super) per_minute: Option<i64>,
    pub(super) daily_limit: Option<i64>,
    /// JSON: a list of strings, a string of such a list, or a string with commas.
    pub(super) ip_allow: Option<String>,
    /// Whether it restricts types or models, which only the origin can check.
    pub(super) is_restricted: bool,
}

/// How a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Accepted from now on.
    Valid,
    Expired,
    Locked,
    Disabled,
    /// A worker that never got a token.
    Without,
    /// Its hash is none.
    Unreadable,
}

/// A record as the store is to hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which one, without the store's prefix.
    pub(super) key: String,
    /// If this field has changed since it was looked at, a gateway has learned something newer.
    pub(super) watched: &'static str,
    /// All its fields; none: it is not to exist.
    pub(super) fields: Vec<(String, String)>,
    /// Unix ms; the record goes by itself then.
    pub(super) expires_at: Option<u64>,
}

impl WorkerRow {
    /// How it counts at `now`, unix ms, and what the store is to hold.
    pub(super) fn meaning(&self, now: u64) -> (Kind, Vec<Wanted>) {
        let Some(hash) = self.hash.as_deref().map(str::trim).filter(|hash| !hash.is_empty()) else {
            return (Kind::Without, Vec::new());
        };
        let Some(stored) = digest(hash) else { return (Kind::Unreadable, Vec::new()) };
        let expires_at = self.expires_at.map(unix);
        let current = |fields, expires_at| Wanted {
            key: format!("worker:{}", self.id),
            watched: "hash",
            fields,
            expires_at,
        };
        if expires_at.is_some_and(|at| at <= now) {
            return (Kind::Expired, vec![current(Vec::new(), None)]);
        }
        if let Some(until) = self.locked_until.map(unix).filter(|until| *until > now) {
            let until = expires_at.map_or(until, |at| at.min(until));
            let nothing = WorkerToken {
                worker: self.id.clone(),
                stored: MATCHES_NOTHING.to_owned(),
                expires_at: Some(until),
            };
            return (Kind::Locked, vec![current(nothing.current(), Some(until))]);
        }
        let token = WorkerToken { worker: self.id.clone(), stored, expires_at };
        let attribution = Wanted {
            key: format!("key:{{{}}}", token.stored),
            watched: "worker_id",
            fields: token.attribution(),
            expires_at,
        };
        (Kind::Valid, vec![current(token.current(), expires_at), attribution])
    }
}

impl KeyRow {
    /// How it counts at `now`, unix ms, and what the store is to hold.
    pub(super) fn meaning(&self, now: u64) -> (Kind, Vec<Wanted>) {
        let Some(stored) = self.hash.as_deref().and_then(|hash| digest(hash.trim())) else {
            return (Kind::Unreadable, Vec::new());
        };
        let wanted = |fields, expires_at| {
            vec![Wanted { key: format!("key:{{{stored}}}"), watched: "enabled", fields, expires_at }]
        };
        let expires_at = self.expires_at.map(unix);
        if expires_at.is_some_and(|at| at <= now) {
            return (Kind::Expired, wanted(Vec::new(), None));
        }
        let fields = self.record(expires_at).to_fields();
        (if self.is_off { Kind::Disabled } else { Kind::Valid }, wanted(fields, expires_at))
    }

    fn record(&self, expires_at: Option<u64>) -> KeyRecord {
        let id = format!("enterprise_{}", self.id);
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        // Unset and "-1" both say: none of its own.
        let count = |limit: Option<i64>| limit.filter(|limit| *limit > 0).map(clamp);
        let minute =
            |limit| KeyLimit { name: "minute".into(), limit, window_ms: 60_000, algorithm: None, cost: None };
        KeyRecord {
            name: filled(&self.name).or_else(|| filled(&self.prefix)).unwrap_or_else(|| id.clone()),
            tenant: filled(&self.tenant).unwrap_or_else(|| id.clone()),
            prefix: self.prefix.clone().unwrap_or_default(),
            id,
            role: String::new(),
            enabled: !self.is_off,
            created_at: self.created_at.map(unix).unwrap_or_default(),
            expires_at,
            limits: count(self.per_minute).map(minute).into_iter().collect(),
            daily_limit: count(self.daily_limit),
            routes: Vec::new(),
            ip_allow: self.ip_allow.as_deref().map(networks).unwrap_or_default(),
        }
    }
}

/// SHA-256 in lower-case hex.
fn digest(hash: &str) -> Option<String> {
    let is_one = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| hash.to_ascii_lowercase())
}

/// A list of networks. One that cannot be read holds an entry that no address is in.
fn networks(json: &str) -> Vec<String> {
    let unreadable = || vec![UNREADABLE.to_owned()];
    let text = |value: Value| match value {
        Value::String(text) => text.trim().to_owned(),
        _ => UNREADABLE.to_owned(),
    };
    match serde_json::from_str(json) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::Array(list)) => list.into_iter().map(text).collect(),
        Ok(Value::String(line)) if line.trim_start().starts_with('[') => match serde_json::from_str(&line) {
            Ok(list) => Vec::into_iter(list).map(text).collect(),
            Err(_) => unreadable(),
        },
        Ok(Value::String(line)) => {
            let entries = line.split([',', ' ', '\n']).filter(|entry| !entry.is_empty());
            entries.map(str::to_owned).collect()
        }
        _ => unreadable(),
    }
}

fn unix(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

fn clamp(limit: i64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// In place of a hash: what no token hashes to.
const MATCHES_NOTHING: &str = "locked";
/// In place of a network.
const UNREADABLE: &str = "unreadable";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const NOW: u64 = 1_000_000;

    fn field<'a>(wanted: &'a Wanted, name: &str) -> Option<&'a str> {
        wanted.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn workers() {
        let upper = HASH.to_uppercase();
        type Stored<'a> = Option<(Option<&'a str>, Option<u64>)>;
        type Case<'a> = (&'a str, Option<&'a str>, Option<i64>, Option<i64>, Kind, Stored<'a>);
        let cases: [Case<'_>; 9] = [
            ("valid", Some(HASH), Some(2_000_000), None, Kind::Valid, Some((Some(HASH), Some(2_000_000)))),
            (
                "upper case",
                Some(&upper),
                Some(2_000_000),
                Some(1),
                Kind::Valid,
                Some((Some(HASH), Some(2_000_000))),
            ),
            ("for ever", Some(HASH), None, None, Kind::Valid, Some((Some(HASH), None))),
            ("expires now", Some(HASH), Some(1_000_000), None, Kind::Expired, Some((None, None))),
            ("expired, locked", Some(HASH), Some(-5), Some(3_000_000), Kind::Expired, Some((None, None))),
            (
                "locked",
                Some(HASH),
                Some(9_000_000),
                Some(3_000_000),
                Kind::Locked,
                Some((Some("locked"), Some(3_000_000))),
            ),
            (
                "lock outlives",
                Some(HASH),
                Some(2_000_000),
                Some(3_000_000),
                Kind::Locked,
                Some((Some("locked"), Some(2_000_000))),
            ),
            ("never had one", None, None, None, Kind::Without, None),
            ("no hash", Some("secret"), None, None, Kind::Unreadable, None),
        ];
        for (what, hash, expires_at, locked_until, kind, stored) in cases {
            let row = WorkerRow { id: "w".into(), hash: hash.map(str::to_owned), expires_at, locked_until };
            let (got, wanted) = row.meaning(NOW);
            let first = wanted.first();
            assert_eq!(got, kind, "{what}");
            assert_eq!(first.map(|it| (field(it, "hash"), it.expires_at)), stored, "{what}");
            assert!(first.is_none_or(|it| it.key == "worker:w"), "{what}");
            let owner = wanted.get(1).map(|it| (it.key.clone(), field(it, "worker_id")));
            let valid = (kind == Kind::Valid).then(|| (format!("key:{{{HASH}}}"), Some("w")));
            assert_eq!(owner, valid, "{what}");
        }
    }

    #[test]
    fn keys() {
        let row = KeyRow {
            id: "7".into(),
            hash: Some(HASH.into()),
            prefix: Some("ent_abcdef".into()),
            tenant: Some("acme".into()),
            created_at: Some(5),
            expires_at: Some(2_000_000),
            per_minute: Some(30),
            daily_limit: Some(1000),
            ip_allow: Some(r#"["10.0.0.0/8"]"#.into()),
            ..KeyRow::default()
        };
        let read = |row: &KeyRow| {
            let (kind, wanted) = row.meaning(NOW);
            let fields: BTreeMap<_, _> = wanted.into_iter().flat_map(|it| it.fields).collect();
            (kind, KeyRecord::from_fields(&fields).expect("readable"))
        };
        let (kind, record) = read(&row);
        assert_eq!(
            (kind, record.id.as_str(), record.name.as_str()),
            (Kind::Valid, "enterprise_7", "ent_abcdef")
        );
        assert_eq!((record.tenant.as_str(), record.enabled, record.daily_limit), ("acme", true, Some(1000)));
        assert_eq!(record.limits.first().map(|it| (it.limit, it.window_ms)), Some((30, 60_000)));
        assert_eq!(record.ip_allow, ["10.0.0.0/8"]);

        let (kind, record) =
            read(&KeyRow { is_off: true, per_minute: Some(-1), daily_limit: Some(0), ..row.clone() });
        assert_eq!(
            (kind, record.enabled, record.limits.len(), record.daily_limit),
            (Kind::Disabled, false, 0, None)
        );
        let expired = KeyRow { expires_at: Some(3), ..row.clone() }.meaning(NOW);
        assert_eq!((expired.0, expired.1.first().map(|it| it.fields.len())), (Kind::Expired, Some(0)));
        let unreadable = KeyRow { hash: None, ..row }.meaning(NOW);
        assert_eq!(unreadable, (Kind::Unreadable, Vec::new()));
    }

    #[test]
    fn lists_of_networks() {
        let cases: [(&str, &[&str]); 9] = [
            ("null", &[]),
            ("[]", &[]),
            (r#"["10.0.0.1", " ::1 "]"#, &["10.0.0.1", "::1"]),
            (r#""10.0.0.1, 10.0.0.2""#, &["10.0.0.1", "10.0.0.2"]),
            (r#""[\"10.0.0.1\"]""#, &["10.0.0.1"]),
            (r#""[10""#, &["unreadable"]),
            (r#"{"a":1}"#, &["unreadable"]),
            ("[1]", &["unreadable"]),
            ("x", &["unreadable"]),
        ];
        for (json, list) in cases {
            assert_eq!(networks(json), list, "{json}");
        }
    }
}
