//! Stored answers made invalid by hand: `POST /gateway/cache/purge`, and what a lookup makes of it.
//!
//! Nothing is searched for and nothing deleted. One small hash of the store counts purges of everything, of paths and of tags;
//! a lookup reads it in its own command. A stored answer carries a stamp, the sum of the counts that are about it, from
//! before the origin was asked; it is absent as soon as that sum is another one. So a purge counts from the next request
//! in every gateway, also for answers that are on their way.
//!
//! A count grows by the time of its purge, so that one which begins anew after the hash is gone never comes back to an
//! old value. A cache that is moved from the store to the process, or back, is purged as a whole: what was stored before is not
//! told of changes meanwhile. The hash outlives every answer that was stored before its last change.

use alloc::{boxed::Box, format, string::String, string::ToString, vec::Vec};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{freshness::MAX_KEPT_MS, key};
use crate::{
    command::{Act, Command},
    config::{CacheBackend, suggestion},
    flow::Flow,
    hex::hex,
    plugin::Plan,
    refusal::{ErrorCode, Refusal},
    request::Request,
    store::{Add, Ask, Batch, Hash, Home, Op, Slot},
    verdict::Answer,
};

/// How often everything, a path, a tag was purged.
#[derive(Clone, Debug, Default)]
pub(super) struct Purges(Vec<(String, u64)>);

impl Purges {
    /// Asks for them.
    pub(super) fn ask(ask: &mut Ask, home: Home, prefix: &str) -> Slot<Hash> {
        ask.hash_at(home, place(prefix), READ_FIELDS)
    }

    /// From the fields and values of the hash in turn.
    pub(super) fn read(fields: Option<Vec<String>>) -> Self {
        let fields = fields.unwrap_or_default();
        let pairs = fields.chunks_exact(2).filter_map(|pair| match pair {
            [field, count] => Some((field.clone(), count.parse().unwrap_or_default())),
            _ => None,
        });
        Self(pairs.collect())
    }

    /// The sum of what is about an answer to this request with these fields.
    pub(super) fn stamp(&self, request: &Request, answer: &HeaderMap) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let mut about = Vec::from([EVERYTHING.to_string(), path_field(request.head.uri.path())]);
        about.push(tag_field(&request.route.pattern));
        about.extend(tags(answer).map(tag_field));
        let counts = self.0.iter().filter(|(field, _)| about.contains(field));
        counts.fold(0, |sum: u64, (_, count)| sum.wrapping_add(*count))
    }
}

/// The tags that an origin gives an answer: `Cache-Tag` with commas, `Surrogate-Key` with spaces between them.
fn tags(answer: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = |name: HeaderName| answer.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let by_comma = lines(CACHE_TAG).flat_map(|line| line.split(',')).map(str::trim);
    let by_space = lines(SURROGATE_KEY).flat_map(str::split_ascii_whitespace);
    by_comma.chain(by_space).filter(|tag| !tag.is_empty())
}

/// The operation that purges everything under a prefix of keys.
pub(crate) fn everything(prefix: &str, now_ms: u64) -> Op {
    tally(place(prefix), Vec::from([EVERYTHING.to_string()]), now_ms)
}

fn tally(key: String, fields: Vec<String>, now_ms: u64) -> Op {
    let add = |field| Add { field, spill: EVERYTHING.to_string(), by: now_ms.max(1) };
    Op::Tally { key, adds: fields.into_iter().map(add).collect(), max: MAX_FIELDS, ttl_ms: TTL_MS }
}

/// `POST /gateway/cache/purge`: one command to the store, once the body is there, or none where the process keeps the cache.
pub(crate) fn plan(flow: &mut Flow, key: String, backend: CacheBackend) -> Plan {
    let run = Box::new(move |_: &_, flow: &mut Flow, body: Bytes| match read(&body) {
        Ok(wish) => wish.ask(key, backend, flow),
        Err(errors) => Act::Refuse(invalid(&errors)),
    });
    flow.command = Some(Command { body_limit: BODY_LIMIT, run });
    Plan::Pass
}

/// What is to be purged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    all: bool,
    paths: Vec<String>,
    tags: Vec<String>,
}

impl Wish {
    fn fields(&self) -> Vec<String> {
        let all = self.all.then(|| EVERYTHING.to_string());
        let paths = self.paths.iter().map(|path| path_field(path));
        all.into_iter().chain(paths).chain(self.tags.iter().map(|tag| tag_field(tag))).collect()
    }

    fn ask(self, key: String, backend: CacheBackend, flow: &mut Flow) -> Act {
        let now_ms = flow.request.facts.now_ms;
        let subjects = self.paths.iter().chain(&self.tags).cloned();
        flow.audit(
            "cache.purge",
            self.all.then(|| EVERYTHING.into()).into_iter().chain(subjects).collect(),
            Vec::new(),
        );
        let home = Home::from(backend);
        let mut ask = Ask::new(now_ms);
        ask.tell(home.of(tally(key.clone(), self.fields(), now_ms)));
        let slot = ask.hash_at(home, key.clone(), READ_FIELDS);
        let batch = ask.into_batch();
        let done = json!({
            "purged": { "all": self.all, "paths": self.paths, "tags": self.tags },
            // Whose: of a process's own cache, others do not hear.
            "backend": backend.name(),
        });
        Act::Ask(
            batch,
            Box::new(move |_, _, answers| {
                let known = Purges::read(answers.cells.hash(slot)).0.len();
                after(home, key, known, now_ms, done)
            }),
        )
    }
}

/// Counts are too many to be read with every lookup: everything is purged once, and counting begins anew.
fn after(home: Home, key: String, known: usize, now_ms: u64, done: Value) -> Act {
    if u32::try_from(known).is_ok_and(|known| known < MAX_FIELDS) {
        return Act::Answer(page(&done));
    }
    let fields = Vec::from([(EVERYTHING.to_string(), now_ms.max(1).to_string())]);
    let op = Op::SetHash { key, fields, ttl_ms: Some(TTL_MS), only_new: false };
    let batch = Batch { now_ms, ops: Vec::from([home.of(op)]) };
    Act::Ask(batch, Box::new(move |_, _, _| Act::Answer(page(&done))))
}

/// Reads the body; all that is wrong with it at once.
fn read(body: &[u8]) -> Result<Wish, Vec<String>> {
    let object = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(Vec::from(["the body is no JSON object".to_string()])),
        Err(error) => return Err(Vec::from([format!("the body is no JSON: {error}")])),
    };
    let (mut wish, mut errors) = (Wish::default(), Vec::new());
    for (name, value) in &object {
        match name.as_str() {
            "all" => match value {
                Value::Bool(all) => wish.all = *all,
                _ => errors.push("all: write `true`".to_string()),
            },
            "path" => wish.paths = texts(name, value, path_error, &mut errors),
            "tag" => wish.tags = texts(name, value, tag_error, &mut errors),
            _ => errors.push(format!("{name}: unknown key{}", suggestion(name, NAMES))),
        }
    }
    if errors.is_empty() && wish.fields().is_empty() {
        errors.push("say what to purge: `path`, `tag`, or `\"all\": true`".to_string());
    }
    if errors.is_empty() { Ok(wish) } else { Err(errors) }
}

/// One text or a list of texts.
fn texts(
    name: &str,
    value: &Value,
    wrong: fn(&str) -> Option<&'static str>,
    errors: &mut Vec<String>,
) -> Vec<String> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => core::slice::from_ref(one),
    };
    if list.len() > MAX_ITEMS {
        errors.push(format!("{name}: at most {MAX_ITEMS} at once"));
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let error = match item {
            Value::String(text) => wrong(text),
            _ => Some("write a text, or a list of texts"),
        };
        match (item, error) {
            (Value::String(text), None) => found.push(text.clone()),
            (_, error) if value.is_array() => {
                errors.push(format!("{name}[{index}]: {}", error.unwrap_or_default()));
            }
            (_, error) => errors.push(format!("{name}: {}", error.unwrap_or_default())),
        }
    }
    found
}

fn path_error(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("a path begins with `/`")
    } else if path.contains(['?', '#']) {
        Some("write the path without its query; the answers to all queries are purged")
    } else if path.contains('*') {
        Some(
            "write one path; many are purged by the pattern of their route as `tag`, or by a tag of the origin's",
        )
    } else {
        None
    }
}

fn tag_error(tag: &str) -> Option<&'static str> {
    let whole = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    (!whole).then_some("a tag is visible ASCII, without commas and spaces")
}

fn invalid(errors: &[String]) -> Refusal {
    let mut refusal = Refusal::new(ErrorCode::BadRequest, "body", errors.join("; "));
    refusal.details = Some(json!({ "errors": errors }));
    refusal
}

fn page(value: &Value) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Answer { status: StatusCode::OK, headers, body: value.to_string().into(), close: false }
}

/// Where the counts are.
pub(crate) fn place(prefix: &str) -> String {
    [prefix, "cache:purges"].concat()
}

fn path_field(path: &str) -> String {
    field('p', &key::normal(path))
}

fn tag_field(tag: &str) -> String {
    field('t', tag.as_bytes())
}

/// Sixteen digits of a hash: two that meet are purged together, which harms nobody.
fn field(kind: char, name: &[u8]) -> String {
    let digits = hex(Sha256::digest(name).first_chunk::<8>().unwrap_or(&[0; 8]));
    format!("{kind}{digits}")
}

const EVERYTHING: &str = "all";
const NAMES: [&str; 3] = ["path", "tag", "all"];
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// A lookup reads them all: 4 KiB.
const MAX_FIELDS: u32 = 128;
/// With room for what is purged by several at once.
const READ_FIELDS: u32 = 1_024;
/// Longer than any answer is kept.
const TTL_MS: u64 = 2 * MAX_KEPT_MS;
/// Paths or tags of one request.
const MAX_ITEMS: usize = 64;
/// Bytes.
const BODY_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let wish = |all, paths: &[&str], tags: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|it| String::from(*it)).collect();
            Ok(Wish { all, paths: owned(paths), tags: owned(tags) })
        };
        let cases: [(&str, Result<Wish, &[&str]>); 12] = [
            (r#"{"all":true}"#, wish(true, &[], &[])),
            (r#"{"path":"/a"}"#, wish(false, &["/a"], &[])),
            (
                r#"{"tag":["x","/api/v1/jobs/{id}"],"path":["/a","/b"]}"#,
                wish(false, &["/a", "/b"], &["x", "/api/v1/jobs/{id}"]),
            ),
            ("{}", Err(&["say what to purge"])),
            (r#"{"all":false}"#, Err(&["say what to purge"])),
            (r#"{"path":[]}"#, Err(&["say what to purge"])),
            ("[]", Err(&["no JSON object"])),
            ("{", Err(&["no JSON:"])),
            (r#"{"paths":"/a","all":1}"#, Err(&["all: write `true`", "paths: unknown key"])),
            (
                r#"{"path":["/a","b","/c?d",1]}"#,
                Err(&["path[1]: a path begins", "path[2]: write the path without", "path[3]: write a text"]),
            ),
            (r#"{"path":"/a/*"}"#, Err(&["path: write one path"])),
            (r#"{"tag":"a b"}"#, Err(&["tag: a tag is"])),
        ];
        for (body, expected) in cases {
            match (read(body.as_bytes()), expected) {
                (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{body}"),
                (Err(errors), Err(parts)) => {
                    assert_eq!(errors.len(), parts.len(), "{body}: {errors:?}");
                    for (error, part) in errors.iter().zip(parts) {
                        assert!(error.contains(part), "{body}: {error}");
                    }
                }
                (got, _) => panic!("{body}: {got:?}"),
            }
        }
    }

    #[test]
    fn tags_of_an_answer() {
        let mut headers = HeaderMap::new();
        for (name, value) in [(CACHE_TAG, "a, b,,"), (CACHE_TAG, "c d"), (SURROGATE_KEY, "e  f,g")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(tags(&headers).collect::<Vec<_>>(), ["a", "b", "c d", "e", "f,g"]);
    }

    #[test]
    fn past_what_a_lookup_can_read_everything_is_purged() {
        for (known, asks) in [(0, false), (127, false), (128, true), (500, true)] {
            let again = matches!(after(Home::Store, "k".into(), known, 7, json!({})), Act::Ask(..));
            assert_eq!(again, asks, "{known}");
        }
    }
}
