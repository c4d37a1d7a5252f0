//! What somebody wants a key to be, as the body of a request to `/gateway/keys` says it: every member may be missing, and
//! `null` takes away what is there. All errors are told at once, each with its place.

use alloc::{format, string::String, string::ToString, vec::Vec};
use serde_json::{Map, Value};

use super::{KeyLimit, KeyRecord, check};
use crate::{config::suggestion, time::read_iso8601};

/// What is wanted; none: as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyWish {
    name: Option<String>,
    tenant: Option<String>,
    role: Option<String>,
    enabled: Option<bool>,
    expires_at: Option<Option<u64>>,
    limits: Option<Vec<KeyLimit>>,
    daily_limit: Option<Option<u32>>,
    routes: Option<Vec<String>>,
    ip_allow: Option<Vec<String>>,
}

impl KeyWish {
    /// Reads a body. `now_ms` is unix ms.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(body: &Map<String, Value>, now_ms: u64) -> Result<Self, Vec<String>> {
        let mut reading = Reading { body, errors: Vec::new() };
        for key in body.keys().filter(|key| !MEMBERS.contains(&key.as_str())) {
            reading.errors.push(format!("{key}: unknown key{}", suggestion(key, MEMBERS)));
        }
        let wish = Self {
            name: reading.text("name", is_name),
            tenant: reading.text("tenant", is_name),
            role: reading.text("role", |role| match role {
                "" | "admin" => Ok(()),
                _ => Err("write `admin`, or `null` for none".into()),
            }),
            enabled: reading
                .member("enabled", |value| value.as_bool().ok_or_else(|| "write `true` or `false`".into())),
            expires_at: reading.expiry(now_ms),
            limits: reading.member("limits", limits),
            daily_limit: reading.member("daily_limit", |value| match value {
                Value::Null => Ok(None),
                value => whole(value).map(Some),
            }),
            routes: reading.list("routes", check::route),
            ip_allow: reading.list("ip_allow", check::network),
        };
        if reading.errors.is_empty() { Ok(wish) } else { Err(reading.errors) }
    }

    /// As [`KeyWish::read`], for a key that is to be made.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn for_new(body: &Map<String, Value>, now_ms: u64) -> Result<Self, Vec<String>> {
        let missing = || String::from("name: a key has a name; write one");
        match Self::read(body, now_ms) {
            Ok(wish) if wish.name.as_ref().is_some_and(|name| !name.is_empty()) => Ok(wish),
            Ok(_) => Err(alloc::vec![missing()]),
            Err(mut errors) => {
                errors.extend((!body.contains_key("name")).then(missing));
                Err(errors)
            }
        }
    }

    /// Makes a record so. A key without a tenant of its own belongs to the one of its name.
    pub fn apply(self, record: &mut KeyRecord) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut record.name, self.name.filter(|name| !name.is_empty()));
        set(&mut record.tenant, self.tenant);
        set(&mut record.role, self.role);
        set(&mut record.enabled, self.enabled);
        set(&mut record.expires_at, self.expires_at);
        set(&mut record.limits, self.limits);
        set(&mut record.daily_limit, self.daily_limit);
        set(&mut record.routes, self.routes);
        set(&mut record.ip_allow, self.ip_allow);
        if record.tenant.is_empty() {
            record.tenant.clone_from(&record.name);
        }
    }
}

/// A body that is being read.
struct Reading<'b> {
    body: &'b Map<String, Value>,
    errors: Vec<String>,
}

impl Reading<'_> {
    fn member<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        match read(self.body.get(name)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(format!("{name}: {error}"));
                None
            }
        }
    }

    fn text(&mut self, name: &str, check: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
        self.member(name, |value| match value {
            Value::Null => Ok(String::new()),
            Value::String(text) => check(text).map(|()| text.clone()),
            _ => Err("write a text".into()),
        })
    }

    /// A list of texts, each in the form that `check` gives it.
    fn list(&mut self, name: &str, check: impl Fn(&str) -> Result<String, String>) -> Option<Vec<String>> {
        let value = self.body.get(name)?;
        let mut entries = Vec::new();
        for (index, entry) in elements(value).unwrap_or_default().iter().enumerate() {
            match entry.as_str().map_or_else(|| Err("write a text".into()), &check) {
                Ok(entry) => entries.push(entry),
                Err(error) => self.errors.push(format!("{name}[{index}]: {error}")),
            }
        }
        match elements(value) {
            Some(list) if list.len() <= MAX_ENTRIES => Some(entries),
            Some(_) => self.wrong(format!("{name}: at most {MAX_ENTRIES} entries")),
            None => self.wrong(format!("{name}: write a list of texts")),
        }
    }

    fn wrong<T>(&mut self, error: String) -> Option<T> {
        self.errors.push(error);
        None
    }

    /// `expires_at`, or `expires_in` seconds.
    fn expiry(&mut self, now_ms: u64) -> Option<Option<u64>> {
        let later = |at: u64| if at > now_ms { Ok(Some(at)) } else { Err(PAST.into()) };
        let at = self.member("expires_at", |value| match value {
            Value::Null => Ok(None),
            Value::String(text) => {
                // An end that each reader took for another moment would be none.
                let (ms, true) = read_iso8601(text).unwrap_or_default() else { return Err(TIME.into()) };
                later(u64::try_from(ms).unwrap_or_default())
            }
            _ => Err(TIME.into()),
        });
        let within = self.member("expires_in", |value| match value.as_u64() {
            Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(now_ms.saturating_add(seconds.saturating_mul(1000)))),
            _ => Err(format!("write whole seconds, 1 to {MAX_SECONDS}")),
        });
        if at.is_some() && within.is_some() {
            return self.wrong("expires_in: write this or `expires_at`, not both".to_string());
        }
        at.or(within)
    }
}

fn elements(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Null => Some(&[]),
        Value::Array(list) => Some(list),
        _ => None,
    }
}

fn limits(value: &Value) -> Result<Vec<KeyLimit>, String> {
    let list = elements(value).ok_or("write a list of limits")?;
    if list.len() > check::MAX_LIMITS {
        return Err(format!("at most {} limits", check::MAX_LIMITS));
    }
    let mut limits: Vec<KeyLimit> = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let read = serde_json::from_value(entry.clone()).map_err(|error| error.to_string());
        let limit: KeyLimit = read.map_err(|error| format!("limit {index}: {error}"))?;
        check::limit(&limit).map_err(|error| format!("limit {index}: {error}"))?;
        if limits.iter().any(|other| other.name == limit.name) {
            return Err(format!("limit {index}: another one is named `{}`", limit.name));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn is_name(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("write 1 to {MAX_NAME} bytes without control characters"));
    }
    Ok(())
}

fn whole(value: &Value) -> Result<u32, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("write a whole number, 0 to {}", u32::MAX))
}

const MEMBERS: [&str; 10] = [
    "name",
    "tenant",
    "role",
    "enabled",
    "expires_at",
    "expires_in",
    "limits",
    "daily_limit",
    "routes",
    "ip_allow",
];
const TIME: &str = "write a time such as `2027-01-31T12:00:00Z`, or `null` for never";
const PAST: &str = "this time is over; to end a key now, disable or delete it";
const MAX_NAME: usize = 200;
const MAX_ENTRIES: usize = 100;
/// A hundred years.
const MAX_SECONDS: u64 = 3_153_600_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW_MS: u64 = 1_767_225_600_000;

    fn read(body: &Value) -> Result<KeyRecord, Vec<String>> {
        let wish = KeyWish::for_new(body.as_object().unwrap(), NOW_MS)?;
        let mut record = KeyRecord::default();
        wish.apply(&mut record);
        Ok(record)
    }

    #[test]
    fn a_body_becomes_a_record() {
        let record = read(&json!({
            "name": "ci", "role": "admin", "enabled": true, "expires_at": "2026-01-01T00:00:01Z",
            "limits": [{"name": "burst", "limit": 5, "window_ms": 1000, "cost": 2}],
            "daily_limit": 9, "routes": ["/api/v1/jobs/*"], "ip_allow": ["10.1.2.3", "2001:db8::/32"],
        }))
        .unwrap();
        assert_eq!(
            (record.name.as_str(), record.tenant.as_str(), record.role.as_str()),
            ("ci", "ci", "admin")
        );
        assert_eq!((record.expires_at, record.daily_limit), (Some(NOW_MS + 1000), Some(9)));
        assert_eq!(record.ip_allow, ["10.1.2.3/32", "2001:db8::/32"]);
        assert_eq!(record.limits[0].cost, Some(2));
        assert_eq!(read(&json!({"name": "a", "expires_in": 2})).unwrap().expires_at, Some(NOW_MS + 2000));
    }

    #[test]
    fn null_takes_away() {
        let body = json!({"tenant": null, "role": null, "expires_at": null, "limits": null, "daily_limit": null,
            "routes": null, "ip_allow": null});
        let mut record = read(&json!({"name": "a", "tenant": "b", "role": "admin", "expires_in": 9,
            "daily_limit": 1, "routes": ["/a"], "ip_allow": ["10.0.0.0/8"]}))
        .unwrap();
        KeyWish::read(body.as_object().unwrap(), NOW_MS).unwrap().apply(&mut record);
        assert_eq!(record, KeyRecord { name: "a".into(), tenant: "a".into(), ..KeyRecord::default() });
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let check = |body: Value, told: &[&str]| {
            let errors = read(&body).unwrap_err();
            assert_eq!(errors.len(), told.len(), "{errors:?}");
            for (error, part) in errors.iter().zip(told) {
                assert!(error.contains(part), "{error} / {part}");
            }
        };
        check(json!({}), &["name: a key has a name"]);
        check(json!({"name": ""}), &["name: write 1 to"]);
        check(json!({"nmae": "a"}), &["nmae: unknown key", "name: a key has"]);
        check(
            json!({"name": 1, "enabled": "yes", "daily_limit": -1, "role": "root", "expires_in": 0}),
            &["name: write a text", "role: write `admin`", "enabled", "expires_in", "daily_limit"],
        );
        check(
            json!({"name": "a", "routes": ["a", 1], "ip_allow": ["10.0.0.0/40"]}),
            &["routes[0]", "routes[1]", "ip_allow[0]: `10.0.0.0/40`"],
        );
        check(json!({"name": "a", "routes": "/a"}), &["routes: write a list"]);
        check(json!({"name": "a", "expires_at": "2025-01-01T00:00:00Z"}), &["expires_at: this time is over"]);
        check(json!({"name": "a", "expires_at": "soon"}), &["expires_at: write a time"]);
        check(json!({"name": "a", "expires_at": null, "expires_in": 5}), &["not both"]);
        let limit = |limit: Value| json!({"name": "a", "limits": [limit]});
        check(limit(json!({"name": "b", "limit": 1})), &["limit 0: missing field `window_ms`"]);
        check(limit(json!({"name": "b c", "limit": 1, "window_ms": 1})), &["letters, digits"]);
        check(limit(json!({"name": "b", "limit": 1, "window_ms": 0})), &["at least 1 ms"]);
        check(limit(json!({"name": "b", "limit": 1, "window_ms": 1, "algorithm": "leaky"})), &["none of"]);
        let twice = json!({"name": "b", "limit": 1, "window_ms": 1});
        check(json!({"name": "a", "limits": [twice.clone(), twice]}), &["another one is named `b`"]);
    }
}
