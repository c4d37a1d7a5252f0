//! Pseudonyms for everything secret in a recording and its document.
//!
//! One secret has one pseudonym as long as the process lives: HMAC-SHA-256 under a random key that is never written. So a
//! key of the document still meets the request that came with it, and two requests of one client still belong together, but
//! nobody finds the secret by trying. What is decided from a credential's hash alone differs from what really happened,
//! and is the same in every replay: names of keys in the store, and the origin of `consistent-hash`.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::PathAndQuery};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{
    Origin, Recording,
    line::{Line, RequestLine},
    replay,
};
use crate::{
    config::Document,
    gateway::{Gateway, Step},
    hex::hex,
    http::names,
    plugins::cache,
    store::{Cell, Op},
};

/// Gives pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms {
    key: [u8; 32],
}

/// A gateway whose recordings may be written down: the one in force, and its double without secrets.
pub struct Concealed {
    pseudonyms: Pseudonyms,
    gateway: Arc<Gateway>,
    double: Arc<Gateway>,
    document: Value,
    version: String,
}

/// Why a document has no double.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be written down without its secrets: {0}")]
pub struct ConcealError(String);

impl Pseudonyms {
    /// Under a random key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The pseudonym of a secret, as long as it but for short ones: a head is refused for its size or it is not.
    fn of(&self, secret: &str) -> String {
        let kind = if secret.starts_with(ENTERPRISE) { ENTERPRISE } else { "" };
        let length = secret.len().max(SHORTEST);
        let mut out = String::from(kind);
        let mut round: u32 = 0;
        while out.len() < length {
            // HMAC takes keys of any length (RFC 2104 §2).
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { break };
            mac.update(&round.to_be_bytes());
            mac.update(secret.as_bytes());
            let digits = hex(&mac.finalize().into_bytes());
            out.extend(digits.chars().take(length.saturating_sub(out.len())));
            round = round.saturating_add(1);
        }
        out
    }

    /// Each word of a field's value, so that a malformed value stays malformed.
    fn words(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for part in text.split_inclusive([' ', '\t', ',']) {
            let word = part.trim_end_matches([' ', '\t', ',']);
            if !word.is_empty() {
                out.push_str(&self.of(word));
            }
            out.push_str(part.strip_prefix(word).unwrap_or_default());
        }
        out
    }

    fn value(&self, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
        let Ok(text) = core::str::from_utf8(value.as_bytes()) else {
            return HeaderValue::from_bytes(b"\xff").unwrap_or(HeaderValue::from_static(""));
        };
        let hidden = match text.trim_start_matches([' ', '\t']).split_once([' ', '\t']) {
            Some((scheme, rest)) if SCHEMED.contains(name) => format!("{scheme} {}", self.words(rest)),
            None if SCHEMED.contains(name) => text.to_owned(),
            _ if *name == names::X_API_KEY || *name == names::X_WORKER_TOKEN => {
                match text.trim_matches([' ', '\t']) {
                    "" => String::new(),
                    key => self.of(key),
                }
            }
            _ => self.of(text),
        };
        HeaderValue::try_from(hidden).unwrap_or(HeaderValue::from_static(""))
    }

    fn headers(&self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            if SECRET.contains(name) || is_secret(&name.as_str().replace('-', "_")) {
                let hidden = self.value(name, value);
                *value = hidden;
            } else if ADDRESSES.contains(name)
                && let Some((path, query)) = value.to_str().ok().and_then(|url| url.split_once('?'))
            {
                let hidden = format!("{path}?{}", self.query(query));
                *value = HeaderValue::try_from(hidden).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }

    /// A target whose query names no secret.
    fn target(&self, uri: &Uri) -> Uri {
        let Some(query) = uri.query() else { return uri.clone() };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(format!("{}?{}", uri.path(), self.query(query))).ok();
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn query(&self, query: &str) -> String {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, value)) if is_secret(name) && !value.is_empty() => {
                format!("{name}={}", self.of(value))
            }
            _ => pair.to_owned(),
        };
        let hidden: Vec<String> = query.split('&').map(pair).collect();
        hidden.join("&")
    }

    /// A body of JSON whose members name no secret; any other body as it is.
    fn body(&self, body: &Bytes) -> Option<Bytes> {
        let mut json: Value = serde_json::from_slice(body).ok()?;
        self.members(&mut json).then(|| json.to_string().into())
    }

    /// A stored answer.
    fn answer(&self, headers: &mut HeaderMap, body: &mut Bytes) {
        self.headers(headers);
        if let Some(hidden) = self.body(body) {
            *body = hidden;
        }
    }

    fn members(&self, value: &mut Value) -> bool {
        match value {
            Value::Array(items) => {
                // Every one is looked at, not only as far as the first.
                let hidden = items.iter_mut().filter_map(|item| self.members(item).then_some(()));
                hidden.count() > 0
            }
            Value::Object(members) => members.iter_mut().fold(false, |any, (name, value)| match value {
                Value::String(text) if is_secret(name) && !text.is_empty() => {
                    *text = self.of(text);
                    true
                }
                value => self.members(value) || any,
            }),
            _ => false,
        }
    }

    /// The document of the file's shape. What a replay does not need is left out.
    fn document(&self, document: &Document) -> Value {
        let mut root = document.masked();
        let mut section = |name: &str, change: &dyn Fn(&mut Map<String, Value>)| {
            if let Some(Value::Object(section)) = root.get_mut(name) {
                change(section);
            }
        };
        section("store", &|store| {
            for name in ["url", "password", "rest_token"] {
                store.remove(name);
            }
        });
        section("log", &|log| {
            log.remove("trace_record");
            log.remove("trace_max_bytes");
        });
        section("server", &|server| {
            server.remove("tls_cert");
            server.remove("tls_key");
        });
        let auth = &document.auth;
        section("auth", &|section| {
            section.remove("token_salt");
            let key =
                |key: &crate::config::StaticKey| format!("{}:{}", key.name, self.of(key.key.expose_secret()));
            section.insert("api_keys".into(), auth.api_keys.iter().map(key).collect());
            match &auth.admin_token {
                Some(token) => section.insert("admin_token".into(), self.of(token.expose_secret()).into()),
                None => section.remove("admin_token"),
            };
        });
        section("upstream", &|section| {
            if let Some(secret) = &document.upstream.signing_secret {
                section.insert("signing_secret".into(), self.of(secret.expose_secret()).into());
            }
        });
        root
    }
}

impl Concealed {
    /// Makes the double of a gateway.
    ///
    /// # Errors
    /// A document that cannot be read back without its secrets.
    pub fn new(gateway: &Arc<Gateway>, pseudonyms: Pseudonyms) -> Result<Self, ConcealError> {
        let document = pseudonyms.document(gateway.document());
        let text = document.to_string();
        let double = replay::compile(&text).map_err(ConcealError)?;
        let version = hex(&Sha256::digest(text.as_bytes()));
        Ok(Self { pseudonyms, gateway: Arc::clone(gateway), double: Arc::new(double), document, version })
    }

    /// The line that holds the document; it comes before the first recording.
    pub fn document(&self) -> Line {
        Line::Document { version: self.version.clone(), document: self.document.clone() }
    }

    /// The recording without its secrets, with the decision that a replay will make.
    pub fn conceal(&self, recording: Recording) -> Line {
        let recording = self.hidden(recording);
        let decision = replay(&self.double, recording.clone()).digest;
        Line::Request(RequestLine::new(&self.version, &recording, decision).into())
    }

    fn hidden(&self, mut recording: Recording) -> Recording {
        let names = &self.pseudonyms;
        let asked = self.asked(&self.gateway, &recording);
        let headers = recording.head.headers.clone();
        names.headers(&mut recording.head.headers);
        recording.head.uri = names.target(&recording.head.uri);
        if let Some((_, cells)) = &mut recording.row {
            let again = match self.double.begin(recording.head.clone(), recording.facts.clone()) {
                Step::Asking(exchange) => exchange.batch().ops.clone(),
                Step::Settled(_) => Vec::new(),
            };
            let mut cell = 0_usize;
            for (place, was) in asked.iter().enumerate() {
                // What the double would not even ask for is never looked at: its own name does.
                let is = again.get(place).unwrap_or(was);
                if let (Op::Get { key: was }, Op::Get { key: is }) = (was.bare(), is.bare())
                    && let Some(Cell::Bytes(bytes)) = cells.get_mut(cell)
                    && let Some(renamed) = cache::renamed(
                        bytes,
                        (was, &headers),
                        (is, &recording.head.headers),
                        |headers, body| names.answer(headers, body),
                    )
                {
                    *bytes = renamed;
                }
                cell = cell.saturating_add(was.width());
            }
        }
        let outcome = &mut recording.outcome;
        if let Some(body) = outcome.request_body.as_ref().and_then(|body| names.body(body)) {
            outcome.request_body = Some(body);
        }
        if let Some(body) = outcome.response_begun.as_ref().and_then(|body| names.body(body)) {
            outcome.response_begun = Some(body);
        }
        let hidden = outcome.response_body.as_ref().and_then(|body| Some((body.len(), names.body(body)?)));
        if let Origin::Answered { head, .. } = &mut recording.origin {
            names.headers(&mut head.headers);
            if let (Some((length, body)), Some(field)) =
                (&hidden, head.headers.get_mut(header::CONTENT_LENGTH))
                && field.to_str().ok() == Some(length.to_string().as_str())
            {
                *field = HeaderValue::from(body.len());
            }
        }
        if let Some((_, body)) = hidden {
            outcome.response_body = Some(body);
        }
        recording
    }

    fn asked(&self, gateway: &Arc<Gateway>, recording: &Recording) -> Vec<Op> {
        match gateway.begin(recording.head.clone(), recording.facts.clone()) {
            Step::Asking(exchange) if recording.row.is_some() => exchange.batch().ops.clone(),
            _ => Vec::new(),
        }
    }
}

/// Whether a member of a body or a query names something secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    MEMBERS.contains(&name.as_str()) || MEMBER_ENDS.iter().any(|end| name.ends_with(end))
}

/// How keys begin that the backend made itself; they are hashed another way.
const ENTERPRISE: &str = "ent_";
/// A pseudonym of fewer digits could stand for two secrets.
const SHORTEST: usize = 24;
const SCHEMED: [HeaderName; 2] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION];
static SECRET: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    names::X_API_KEY,
    names::X_WORKER_TOKEN,
    header::COOKIE,
    header::SET_COOKIE,
    names::X_SIGNATURE,
];
/// Fields that hold an address, whose query may name a secret.
static ADDRESSES: [HeaderName; 3] = [header::REFERER, header::LOCATION, header::CONTENT_LOCATION];
const MEMBERS: [&str; 7] = ["token", "key", "apikey", "secret", "password", "signature", "sig"];
const MEMBER_ENDS: [&str; 5] = ["_token", "_key", "-key", "_secret", "_password"];
