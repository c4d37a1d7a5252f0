//! `/gateway/config`, its history and the way back.
//!
//! A change is made from what the store holds and written only if the store still holds that. Where somebody else was
//! faster, it is made anew from theirs, so that two changes of different things both stand; with `If-Match` the
//! second one is refused instead.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::{answer, invalid, leave, object, refused, store_is_down, tag};
use crate::{
    command::{Act, Changed},
    config::suggestion,
    control::{Change, Rejected, Stored, Wish},
    flow::{ADMIN, Flow},
    gateway::Gateway,
    plugin::{Plan, Ruling, Source},
    refusal::{ErrorCode, Refusal},
    store::{Ask, Replaced},
    verdict::Answer,
};

/// Reads what is wanted from the body.
pub(super) type Read = Box<dyn FnOnce(&Arc<Gateway>, Bytes) -> Result<Wish, Refusal> + Send>;

/// Shows what came of it.
pub(super) type Show = Box<dyn FnOnce(&Change) -> Answer + Send>;

/// `GET /gateway/config`: the page is rendered with all others; here it gets the tag that a change can name.
pub(super) fn show(ask: &mut Ask, key: &str) -> Plan {
    let slot = ask.get(key.to_string());
    Plan::Judge(Box::new(move |flow, answers| {
        if answers.source == Source::Store {
            let text = answers.cells.bytes(slot).unwrap_or_default();
            flow.response_headers.insert(header::ETAG, tag(crate::store::version_of(&text)));
        }
        Ruling::Pass
    }))
}

/// `GET /gateway/config/history`.
pub(super) fn history(ask: &mut Ask, key: &str) -> Plan {
    let slot = ask.get(key.to_string());
    Plan::Judge(Box::new(move |_, answers| {
        if answers.source != Source::Store {
            return Ruling::Refuse(store_is_down());
        }
        match Stored::parse(&answers.cells.bytes(slot).unwrap_or_default()) {
            Ok(stored) => {
                let mut page = answer(&stored.page());
                page.headers.insert(header::ETAG, tag(stored.now.version));
                Ruling::Answer(page)
            }
            Err(error) => Ruling::Refuse(refused(ErrorCode::Conflict, "unreadable", &error)),
        }
    }))
}

/// `PATCH /gateway/config`.
pub(super) fn patch(ask: &mut Ask, key: &str) -> Plan {
    let read: Read = Box::new(|_, body| Ok(Wish::Patch(object(&body)?)));
    change(ask, key, read, Box::new(shown))
}

/// `POST /gateway/config/rollback`.
pub(super) fn rollback(ask: &mut Ask, key: &str) -> Plan {
    let read: Read = Box::new(|_, body| go_back(&object(&body)?));
    change(ask, key, read, Box::new(shown))
}

fn shown(change: &Change) -> Answer {
    answer(&change.gateway.document().masked())
}

fn go_back(body: &Map<String, Value>) -> Result<Wish, Refusal> {
    let mut errors = Vec::new();
    for key in body.keys().filter(|key| !FIELDS.contains(&key.as_str())) {
        errors.push(alloc::format!("{key}: unknown key{}", suggestion(key, FIELDS)));
    }
    let version = body.get("version").and_then(Value::as_u64);
    if version.is_none() {
        errors.push("version: write the number of a version, or 0 for none of the changes".to_string());
    }
    let allow_open = match body.get("allow_open") {
        None => Some(false),
        Some(value) => value.as_bool(),
    };
    if allow_open.is_none() {
        errors.push("allow_open: write `true` or `false`".to_string());
    }
    match (version, allow_open) {
        (Some(version), Some(allow_open)) if errors.is_empty() => Ok(Wish::Rollback { version, allow_open }),
        _ => Err(invalid(&errors)),
    }
}

const FIELDS: [&str; 2] = ["version", "allow_open"];

/// Plans a change: the store's text comes with the request's own command, the body after it.
pub(super) fn change(ask: &mut Ask, key: &str, read: Read, show: Show) -> Plan {
    let (slot, key) = (ask.get(key.to_string()), key.to_string());
    Plan::Judge(Box::new(move |flow, answers| {
        if answers.source != Source::Store {
            return Ruling::Refuse(store_is_down());
        }
        let text = answers.cells.bytes(slot).unwrap_or_default();
        let run = Box::new(move |gateway: &Arc<Gateway>, flow: &mut Flow, body| {
            let attempt = read(gateway, body).and_then(|wish| {
                let wants = wanted(&flow.request.head.headers)?;
                Ok(Attempt { key, wish, wants, show, tries: 0 })
            });
            match attempt {
                Ok(attempt) => attempt.make(gateway, flow, &text),
                Err(refusal) => Act::Refuse(refusal),
            }
        });
        leave(flow, run);
        Ruling::Pass
    }))
}

/// One change on its way to the store.
struct Attempt {
    key: String,
    wish: Wish,
    /// The versions of which one must be stored; none: any.
    wants: Option<Vec<u64>>,
    show: Show,
    tries: u32,
}

impl Attempt {
    fn make(self, gateway: &Arc<Gateway>, flow: &mut Flow, text: &[u8]) -> Act {
        let stored = match Stored::parse(text) {
            Ok(stored) => stored,
            Err(error) => return Act::Refuse(refused(ErrorCode::Conflict, "unreadable", &error)),
        };
        let version = stored.now.version;
        if self.wants.as_ref().is_some_and(|wants| !wants.contains(&version)) {
            let message = "the configuration was changed since: read it again, then change it";
            let refusal = Refusal::new(ErrorCode::PreconditionFailed, "version", message);
            return Act::Refuse(refusal.header(header::ETAG, tag(version)));
        }
        // No one but the bearer of `ADMIN_TOKEN` comes here.
        let change = match Change::make(gateway, &stored, &self.wish, ADMIN, flow.request.facts.now_ms) {
            Ok(change) => change,
            Err(rejected) => return Act::Refuse(rejection(&rejected)),
        };
        if !change.differs {
            return Act::Answer(self.done(&change));
        }
        flow.audit(self.wish.action(), self.wish.subjects(), change.stored.now.paths.clone());
        let mut ask = Ask::new(flow.request.facts.now_ms);
        let text = change.stored.print();
        let slot = ask.replace(self.key.clone(), version, text.clone());
        change.besides.iter().for_each(|op| ask.tell(op.clone()));
        Act::Ask(
            ask.into_batch(),
            Box::new(move |gateway, flow, answers| match answers.cells.replaced(slot) {
                Replaced::Written => Act::Changed(self.done(&change), Changed { before: version, text }),
                Replaced::Lost(theirs) if self.tries < MAX_TRIES => {
                    flow.audit = None;
                    Self { tries: self.tries.saturating_add(1), ..self }.make(gateway, flow, &theirs)
                }
                Replaced::Lost(_) => {
                    flow.audit = None;
                    let message = "others change the configuration all the time: try again";
                    Act::Refuse(Refusal::new(ErrorCode::Conflict, "version", message))
                }
            }),
        )
    }

    fn done(self, change: &Change) -> Answer {
        let mut page = (self.show)(change);
        page.headers.insert(header::ETAG, tag(change.stored.now.version));
        page
    }
}

fn rejection(rejected: &Rejected) -> Refusal {
    let (code, reason) = match rejected {
        Rejected::Invalid(errors) => return invalid(errors),
        Rejected::Compile(_) => (ErrorCode::BadRequest, "change"),
        Rejected::NoPlugin(_) => (ErrorCode::NotFound, "plugin"),
        Rejected::NoVersion(_) => (ErrorCode::NotFound, "version"),
        Rejected::Opens(_) => (ErrorCode::Conflict, "opens"),
        Rejected::TooLong => (ErrorCode::PayloadTooLarge, "body_size"),
    };
    refused(code, reason, rejected)
}

/// The versions in `If-Match` (RFC 9110 §13.1.1); `*` is any.
fn wanted(headers: &HeaderMap) -> Result<Option<Vec<u64>>, Refusal> {
    let mut wants = Vec::new();
    for line in headers.get_all(header::IF_MATCH) {
        for tag in line.to_str().unwrap_or("?").split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
            let Ok(version) = version.parse() else {
                let message = "`If-Match` names no version: write the `ETag` of `GET /gateway/config`";
                return Err(Refusal::new(ErrorCode::BadRequest, "if_match", message));
            };
            wants.push(version);
        }
    }
    Ok((!wants.is_empty()).then_some(wants))
}

/// Others that may be faster before it is given up.
const MAX_TRIES: u32 = 8;
