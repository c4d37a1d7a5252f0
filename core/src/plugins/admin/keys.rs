//! `/gateway/keys`: the records of API keys. Which ids there are stands in one hash, `{prefix}keys`, because nobody
//! searches the store while a request waits: each id with the stored form of its key and the time it was made.

use alloc::{
    boxed::Box,
    collections::BTreeMap,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::{answer, invalid, leave, object, store_is_down};
use crate::{
    command::{Act, Next},
    flow::Flow,
    gateway::Gateway,
    gather::gather,
    keys::{FreshKey, KeyRecord, KeyWish},
    keyspace::Keyspace,
    plugin::{Answers, Plan, Ruling, Source},
    plugins::auth::stored_form,
    refusal::{ErrorCode, Refusal},
    store::{Amended, Ask, Hash, Life, Op, Slot},
    verdict::Answer,
};

/// What is done with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAction {
    Show,
    Change,
    Revoke,
    Rotate,
}

/// `GET /gateway/keys`: a page of records in the order of their ids.
pub(super) fn list(keyspace: &Keyspace, flow: &Flow, ask: &mut Ask) -> Plan {
    let part = match Part::read(flow.request.head.uri.query().unwrap_or_default()) {
        Ok(part) => part,
        Err(refusal) => return Plan::Refuse(refusal),
    };
    let keyspace = keyspace.clone();
    let slot = ask.hash(keyspace.keys(), MAX_KEYS);
    Plan::Judge(Box::new(move |flow, answers| {
        if answers.source != Source::Store {
            return Ruling::Refuse(store_is_down());
        }
        let ids = entries(answers, slot);
        let run = Box::new(move |_: &Arc<Gateway>, flow: &mut Flow, _| {
            let (shown, next) = part.of(&ids);
            let mut ask = Ask::new(flow.request.facts.now_ms);
            let mut records = Vec::new();
            for (id, entry) in shown {
                let slot = ask.hash(keyspace.key(&entry.stored), MAX_FIELDS);
                records.push((id.clone(), entry.clone(), slot));
            }
            let page = Page { index: keyspace.keys(), total: ids.len(), next, records };
            if page.records.is_empty() {
                return Act::Answer(page.show(&[]));
            }
            Act::Ask(ask.into_batch(), Box::new(move |_, flow, answers| page.render(flow, answers)))
        });
        leave(flow, run);
        Ruling::Pass
    }))
}

/// `POST /gateway/keys`.
pub(super) fn create(keyspace: &Keyspace, flow: &mut Flow) -> Plan {
    let keyspace = keyspace.clone();
    let run = Box::new(move |gateway: &Arc<Gateway>, flow: &mut Flow, body: Bytes| {
        let now_ms = flow.request.facts.now_ms;
        let wish = match object(&body).and_then(|body| wished(KeyWish::for_new(&body, now_ms))) {
            Ok(wish) => wish,
            Err(refusal) => return Act::Refuse(refusal),
        };
        let mut record = KeyRecord { enabled: true, created_at: now_ms, ..KeyRecord::default() };
        wish.apply(&mut record);
        issue(&keyspace, gateway, flow, record, StatusCode::CREATED, None)
    });
    leave(flow, run);
    Plan::Pass
}

/// What is done with the key of this id.
pub(super) fn one(keyspace: &Keyspace, id: &str, action: KeyAction, ask: &mut Ask) -> Plan {
    let (keyspace, id) = (keyspace.clone(), id.to_string());
    let slot = ask.field(keyspace.keys(), id.clone());
    Plan::Judge(Box::new(move |flow, answers| {
        if answers.source != Source::Store {
            return Ruling::Refuse(store_is_down());
        }
        let Some(entry) = answers.cells.bytes(slot).and_then(|text| Entry::read(&text)) else {
            return Ruling::Refuse(unknown());
        };
        let run = Box::new(move |_: &Arc<Gateway>, flow: &mut Flow, body: Bytes| {
            let mut ask = Ask::new(flow.request.facts.now_ms);
            let key = keyspace.key(&entry.stored);
            let slot = ask.hash(key.clone(), MAX_FIELDS);
            let found = Found { keyspace, id, key };
            Act::Ask(
                ask.into_batch(),
                Box::new(move |gateway, flow, answers| match read(answers, slot) {
                    Ok(Some(record)) => found.act(action, gateway, flow, record, &body),
                    Ok(None) => Act::Refuse(unknown()),
                    Err(refusal) => Act::Refuse(refusal),
                }),
            )
        });
        leave(flow, run);
        Ruling::Pass
    }))
}

/// A key whose record is there.
struct Found {
    keyspace: Keyspace,
    id: String,
    /// Of its record.
    key: String,
}

impl Found {
    fn act(
        self,
        action: KeyAction,
        gateway: &Arc<Gateway>,
        flow: &mut Flow,
        record: KeyRecord,
        body: &Bytes,
    ) -> Act {
        match action {
            KeyAction::Show => Act::Answer(answer(&record.to_json())),
            KeyAction::Change => self.change(flow, &record, body),
            KeyAction::Revoke => self.revoke(flow),
            KeyAction::Rotate => self.rotate(gateway, flow, record, body),
        }
    }

    fn change(self, flow: &mut Flow, record: &KeyRecord, body: &Bytes) -> Act {
        let now_ms = flow.request.facts.now_ms;
        let wish = match object(body).and_then(|body| wished(KeyWish::read(&body, now_ms))) {
            Ok(wish) => wish,
            Err(refusal) => return Act::Refuse(refusal),
        };
        let mut changed = record.clone();
        wish.apply(&mut changed);
        let names = names(record, &changed);
        if !names.is_empty() {
            flow.audit("keys.change", Vec::from([self.id]), names);
        }
        let mut ask = Ask::new(now_ms);
        let slot = amend(&mut ask, self.key, record, &changed, now_ms);
        Act::Ask(
            ask.into_batch(),
            Box::new(move |_, flow, answers| {
                if answers.cells.amended(slot) {
                    return Act::Answer(answer(&changed.to_json()));
                }
                // Revoked in the meantime: it stays so.
                flow.audit = None;
                Act::Refuse(unknown())
            }),
        )
    }

    fn revoke(self, flow: &mut Flow) -> Act {
        flow.audit("keys.revoke", Vec::from([self.id.clone()]), Vec::new());
        let mut ask = Ask::new(flow.request.facts.now_ms);
        ask.tell(Op::Delete { key: self.key });
        let fields = alloc::vec![(self.id, None)];
        ask.amend(self.keyspace.keys(), fields, false, MAX_KEYS, Life::AsBefore);
        let done: Next = Box::new(|_, _, _| {
            let (status, headers) = (StatusCode::NO_CONTENT, HeaderMap::new());
            Act::Answer(Answer { status, headers, body: Bytes::new(), close: false })
        });
        Act::Ask(ask.into_batch(), done)
    }

    /// A fresh key with the same rights, and an end for this one: at once, or after `grace_seconds`.
    fn rotate(self, gateway: &Arc<Gateway>, flow: &mut Flow, record: KeyRecord, body: &Bytes) -> Act {
        let now_ms = flow.request.facts.now_ms;
        let grace_s = match grace(body) {
            Ok(grace_s) => grace_s,
            Err(refusal) => return Act::Refuse(refusal),
        };
        let fresh = KeyRecord { created_at: now_ms, ..record.clone() };
        let keyspace = self.keyspace.clone();
        issue(&keyspace, gateway, flow, fresh, StatusCode::OK, Some(Ending { found: self, record, grace_s }))
    }
}

/// A key that ends when another one has taken its place.
struct Ending {
    found: Found,
    record: KeyRecord,
    grace_s: u64,
}

impl Ending {
    fn tell(self, ask: &mut Ask, now_ms: u64) {
        let Self { found, record, grace_s } = self;
        if grace_s == 0 {
            ask.tell(Op::Delete { key: found.key });
            let fields = alloc::vec![(found.id, None)];
            ask.amend(found.keyspace.keys(), fields, false, MAX_KEYS, Life::AsBefore);
            return;
        }
        let end = now_ms.saturating_add(grace_s.saturating_mul(1000));
        let expires_at = Some(record.expires_at.map_or(end, |old| old.min(end)));
        let ended = KeyRecord { expires_at, ..record.clone() };
        amend(ask, found.key, &record, &ended, now_ms);
    }
}

/// Gives a record a fresh key and stores both: first its id, where there is room for one more, then the record.
fn issue(
    keyspace: &Keyspace,
    gateway: &Arc<Gateway>,
    flow: &mut Flow,
    mut record: KeyRecord,
    status: StatusCode,
    ending: Option<Ending>,
) -> Act {
    let now_ms = flow.request.facts.now_ms;
    let Some(chance) = flow.chance.take() else {
        let message = "the platform gave no random bytes; try again";
        return Act::Refuse(Refusal::new(ErrorCode::InternalError, "chance", message));
    };
    let fresh = FreshKey::from_entropy(&chance);
    record.id = fresh.id;
    record.prefix = fresh.prefix;
    let stored = stored_form(&gateway.document().auth.token_salt, fresh.key.expose_secret());
    let entry = [&stored, " ", &now_ms.to_string()].concat();
    let mut ask = Ask::new(now_ms);
    let fields = alloc::vec![(record.id.clone(), Some(entry))];
    let slot = ask.amend(keyspace.keys(), fields, true, MAX_KEYS, Life::Forever);
    let key = keyspace.key(&stored);
    let write: Next = Box::new(move |_, flow, answers| {
        if !answers.cells.amended(slot) {
            let message = "there are as many keys as can be listed; delete some first";
            return Act::Refuse(Refusal::new(ErrorCode::Conflict, "keys", message));
        }
        let now_ms = flow.request.facts.now_ms;
        let mut shown = record.to_json();
        if let Value::Object(shown) = &mut shown {
            shown.insert("key".into(), fresh.key.expose_secret().into());
            shown.extend(ending.as_ref().map(|it| ("replaces".into(), it.found.id.clone().into())));
        }
        let new = record.id.clone();
        match &ending {
            None => flow.audit("keys.create", Vec::from([new]), names(&KeyRecord::default(), &record)),
            Some(it) => flow.audit("keys.rotate", Vec::from([it.found.id.clone(), new]), Vec::new()),
        }
        let mut ask = Ask::new(now_ms);
        let ttl_ms = record.expires_at.map(|at| at.saturating_sub(now_ms));
        ask.tell(Op::SetHash { key, fields: record.to_fields(), ttl_ms, only_new: false });
        if let Some(ending) = ending {
            ending.tell(&mut ask, now_ms);
        }
        let done: Next = Box::new(move |_, _, _| Act::Answer(Answer { status, ..answer(&shown) }));
        Act::Ask(ask.into_batch(), done)
    });
    Act::Ask(ask.into_batch(), write)
}

/// The fields in which two records differ.
fn names(old: &KeyRecord, new: &KeyRecord) -> Vec<String> {
    old.changes(new).into_iter().map(|(name, _)| name).collect()
}

/// Makes the stored record of `old` that of `new`, if it still stands.
fn amend(ask: &mut Ask, key: String, old: &KeyRecord, new: &KeyRecord, now_ms: u64) -> Slot<Amended> {
    let life = match new.expires_at {
        at if at == old.expires_at => Life::AsBefore,
        None => Life::Forever,
        Some(at) => Life::Ms(at.saturating_sub(now_ms)),
    };
    ask.amend(key, old.changes(new), false, u32::MAX, life)
}

/// What stands under an id.
#[derive(Clone, Debug)]
struct Entry {
    /// Of the key.
    stored: String,
    /// Unix ms.
    made_ms: u64,
}

impl Entry {
    fn read(text: &[u8]) -> Option<Self> {
        let (stored, made) = str::from_utf8(text).ok()?.split_once(' ')?;
        Some(Self { stored: stored.into(), made_ms: made.parse().ok()? })
    }
}

fn entries(answers: &Answers<'_>, slot: Slot<Hash>) -> BTreeMap<String, Entry> {
    let words = answers.cells.hash(slot).unwrap_or_default();
    let pairs = words.chunks_exact(2).filter_map(|pair| match pair {
        [id, entry] => Some((id.clone(), Entry::read(entry.as_bytes())?)),
        _ => None,
    });
    gather(pairs)
}

fn read(answers: &Answers<'_>, slot: Slot<Hash>) -> Result<Option<KeyRecord>, Refusal> {
    let Some(words) = answers.cells.hash(slot) else { return Ok(None) };
    let pairs = words.chunks_exact(2).filter_map(|pair| match pair {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    });
    KeyRecord::from_fields(&gather(pairs))
        .map(Some)
        .map_err(|error| Refusal::new(ErrorCode::Conflict, "unreadable", error.to_string()))
}

/// Which part of the list is wanted.
struct Part {
    after: String,
    most: usize,
}

impl Part {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut part = Self { after: String::new(), most: USUAL_PAGE };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "cursor" => part.after = value.to_string(),
                "limit" => {
                    let most = value.parse().ok().filter(|most| (1..=LARGEST_PAGE).contains(most));
                    part.most = most.ok_or_else(|| {
                        let message = alloc::format!("`limit` is a whole number, 1 to {LARGEST_PAGE}");
                        Refusal::new(ErrorCode::BadRequest, "query", message)
                    })?;
                }
                _ => {}
            }
        }
        Ok(part)
    }

    /// The entries, and where the next part begins.
    fn of<'e>(&self, ids: &'e BTreeMap<String, Entry>) -> (Vec<(&'e String, &'e Entry)>, Option<String>) {
        let mut rest = ids.iter().filter(|(id, _)| **id > self.after);
        let shown: Vec<_> = rest.by_ref().take(self.most).collect();
        let last = shown.last().map(|(id, _)| (*id).clone());
        (shown, last.filter(|_| rest.next().is_some()))
    }
}

/// A page of the list.
struct Page {
    index: String,
    total: usize,
    next: Option<String>,
    records: Vec<(String, Entry, Slot<Hash>)>,
}

impl Page {
    fn render(self, flow: &mut Flow, answers: &Answers<'_>) -> Act {
        let now_ms = flow.request.facts.now_ms;
        let (mut shown, mut gone) = (Vec::new(), Vec::new());
        for (id, entry, slot) in &self.records {
            match read(answers, *slot) {
                Ok(Some(record)) => shown.push(record.to_json()),
                // Its end has come. One that was made just now is still being written.
                Ok(None) if entry.made_ms.saturating_add(SETTLES_MS) < now_ms => {
                    gone.push((id.clone(), None));
                }
                Ok(None) => {}
                Err(refusal) => shown.push(json!({ "id": id, "error": refusal.message })),
            }
        }
        if !gone.is_empty() {
            let (key, life) = (self.index.clone(), Life::AsBefore);
            flow.writes.push(Op::Amend { key, fields: gone, create: false, max: MAX_KEYS, life });
        }
        Act::Answer(self.show(&shown))
    }

    fn show(&self, keys: &[Value]) -> Answer {
        answer(&json!({ "keys": keys, "total": self.total, "cursor": self.next }))
    }
}

fn wished(wish: Result<KeyWish, Vec<String>>) -> Result<KeyWish, Refusal> {
    wish.map_err(|errors| invalid(&errors))
}

/// Seconds; 0 where the body says nothing.
fn grace(body: &Bytes) -> Result<u64, Refusal> {
    let body = if body.is_empty() { Map::new() } else { object(body)? };
    let mut errors: Vec<String> = body
        .keys()
        .filter(|key| *key != "grace_seconds")
        .map(|key| alloc::format!("{key}: unknown key; did you mean `grace_seconds`?"))
        .collect();
    let seconds = match body.get("grace_seconds") {
        None => Some(0),
        Some(value) => value.as_u64().filter(|seconds| *seconds <= MAX_GRACE_S),
    };
    if seconds.is_none() {
        errors.push(alloc::format!("grace_seconds: write whole seconds, 0 to {MAX_GRACE_S}"));
    }
    seconds.filter(|_| errors.is_empty()).ok_or_else(|| invalid(&errors))
}

fn unknown() -> Refusal {
    let message = "no key has this id; `GET /gateway/keys` lists them";
    Refusal::new(ErrorCode::NotFound, "key", message)
}

/// Most keys that can be listed.
const MAX_KEYS: u32 = 10_000;
/// Most fields of a record.
const MAX_FIELDS: u32 = 64;
/// Records on a page, unless the request says otherwise.
const USUAL_PAGE: usize = 100;
/// As many are read by one command.
const LARGEST_PAGE: usize = 500;
/// A record is written right after its id.
const SETTLES_MS: u64 = 60_000;
/// A year.
const MAX_GRACE_S: u64 = 31_536_000;
