//! A recording as one line of JSON, and the line in front that holds the document. Fields that a later version adds are
//! ignored by an earlier one; a value that an earlier one cannot read is an error.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Origin, Recording,
    text::{Text, hexadecimal},
};
use crate::{
    facts::{Entropy, Facts, Hints, Peer},
    origins::{OriginId, OriginView},
    outcome::{End, Outcome},
    plugin::Source,
    request::RequestHead,
    store::Cell,
    verdict::{OriginFailure, ResponseHead},
};

/// One line of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A document, for the recordings that name it.
    Document {
        /// Its name: SHA-256 of the text.
        version: String,
        /// The document, with pseudonyms for secrets.
        document: Value,
    },
    /// A recording.
    Request(alloc::boxed::Box<RequestLine>),
}

/// A recording and what was decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestLine {
    /// Name of the document.
    pub under: String,
    head: HeadLine,
    facts: FactsLine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<RowLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<OriginLine>,
    outcome: OutcomeLine,
    /// SHA-256 of all that was decided, in hexadecimal.
    pub decision: String,
}

type Fields = Vec<(String, Text)>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HeadLine {
    method: String,
    target: String,
    version: String,
    fields: Fields,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FactsLine {
    now_ms: u64,
    mono_us: u64,
    #[serde(with = "hexadecimal")]
    request: [u8; 16],
    #[serde(with = "hexadecimal")]
    trace: [u8; 16],
    #[serde(with = "hexadecimal")]
    span: [u8; 8],
    draw: u64,
    peer: IpAddr,
    tls: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    /// In flight, EWMA in microseconds, ejected, failing.
    origins: Vec<(u32, u64, bool, bool)>,
    turn: u64,
    can_upgrade: bool,
    draining: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fleet: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RowLine {
    source: String,
    cells: Vec<CellLine>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum CellLine {
    Nil,
    Int(i64),
    Bytes(Text),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OriginLine {
    Answered { attempt: u32, status: u16, fields: Fields, sent_ms: u64, received_ms: u64 },
    Failed { failure: String, now_ms: u64 },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct OutcomeLine {
    now_ms: u64,
    end: String,
    total_us: u64,
    store_us: u64,
    origin_us: u64,
    request_bytes: u64,
    response_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_body: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_body: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_begun: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<u32>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is no recording: {0}")]
pub struct LineError(pub String);

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// It is neither a document nor a recording.
    pub fn read(text: &str) -> Result<Self, LineError> {
        serde_json::from_str(text).map_err(|error| LineError(error.to_string()))
    }

    /// The line, without its end.
    pub fn write(&self) -> String {
        // INVARIANT: texts, numbers and lists under fixed names always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl RequestLine {
    /// A recording under a document, and what was decided.
    pub fn new(under: &str, recording: &Recording, decision: String) -> Self {
        let Recording { head, facts, row, origin, outcome } = recording;
        Self {
            under: under.to_owned(),
            head: HeadLine {
                method: head.method.to_string(),
                target: head.uri.to_string(),
                version: named(&VERSIONS, &head.version).to_owned(),
                fields: lines(&head.headers),
            },
            facts: facts_line(facts),
            row: row.as_ref().map(|(source, cells)| RowLine {
                source: named(&SOURCES, source).to_owned(),
                cells: cells.iter().map(cell_line).collect(),
            }),
            origin: origin_line(origin),
            outcome: outcome_line(outcome),
            decision,
        }
    }

    /// The recording.
    ///
    /// # Errors
    /// A value that no recording holds.
    pub fn recording(self) -> Result<Recording, LineError> {
        let Self { head, facts, row, origin, outcome, .. } = self;
        let wrong = |what: &str| LineError(alloc::format!("`{what}` cannot be read"));
        let head = RequestHead {
            method: Method::from_bytes(head.method.as_bytes()).map_err(|_| wrong(&head.method))?,
            uri: head.target.parse().map_err(|_| wrong(&head.target))?,
            version: value(&VERSIONS, &head.version)?,
            headers: map(head.fields)?,
        };
        let row = match row {
            None => None,
            Some(RowLine { source, cells }) => {
                let cells = cells.into_iter().map(|cell| match cell {
                    CellLine::Nil => Cell::Nil,
                    CellLine::Int(number) => Cell::Int(number),
                    CellLine::Bytes(text) => Cell::Bytes(text.0),
                });
                Some((value(&SOURCES, &source)?, cells.collect()))
            }
        };
        let origin = match origin {
            None => Origin::Silent,
            Some(OriginLine::Answered { attempt, status, fields, sent_ms, received_ms }) => {
                let status = StatusCode::from_u16(status).map_err(|_| wrong("status"))?;
                let head = ResponseHead { status, headers: map(fields)? };
                let attempt = usize::try_from(attempt).unwrap_or(usize::MAX);
                Origin::Answered { attempt, head, sent_ms, received_ms }
            }
            Some(OriginLine::Failed { failure, now_ms }) => {
                Origin::Failed { failure: value(&FAILURES, &failure)?, now_ms }
            }
        };
        Ok(Recording { head, facts: facts_of(facts), row, origin, outcome: outcome_of(outcome)? })
    }
}

fn facts_line(facts: &Facts) -> FactsLine {
    let view = |view: &OriginView| (view.in_flight, view.ewma_us, view.ejected, view.failing);
    FactsLine {
        now_ms: facts.now_ms,
        mono_us: facts.mono_us,
        request: facts.entropy.request,
        trace: facts.entropy.trace,
        span: facts.entropy.span,
        draw: facts.entropy.draw,
        peer: facts.peer.ip,
        tls: facts.peer.tls,
        region: facts.hints.region.clone(),
        client: facts.hints.client,
        origins: facts.origins.iter().map(view).collect(),
        turn: facts.turn,
        can_upgrade: facts.can_upgrade,
        draining: facts.draining,
        fleet: facts.fleet.map(ToOwned::to_owned),
        seen: facts.seen,
    }
}

fn facts_of(line: FactsLine) -> Facts {
    let view = |(in_flight, ewma_us, ejected, failing)| OriginView { in_flight, ewma_us, ejected, failing };
    Facts {
        now_ms: line.now_ms,
        mono_us: line.mono_us,
        entropy: Entropy { request: line.request, trace: line.trace, span: line.span, draw: line.draw },
        peer: Peer { ip: line.peer, tls: line.tls },
        hints: Hints { region: line.region, client: line.client },
        origins: line.origins.into_iter().map(view).collect(),
        turn: line.turn,
        can_upgrade: line.can_upgrade,
        draining: line.draining,
        seen: line.seen,
        fleet: FLEETS.into_iter().find(|target| line.fleet.as_deref() == Some(target)),
    }
}

/// Targets whose instances are a fleet.
const FLEETS: [&str; 3] = ["cloudflare", "spin", "lambda"];

fn cell_line(cell: &Cell) -> CellLine {
    match cell {
        Cell::Nil => CellLine::Nil,
        Cell::Int(number) => CellLine::Int(*number),
        Cell::Bytes(bytes) => CellLine::Bytes(Text(bytes.clone())),
    }
}

fn origin_line(origin: &Origin) -> Option<OriginLine> {
    match origin {
        Origin::Silent => None,
        Origin::Answered { attempt, head, sent_ms, received_ms } => Some(OriginLine::Answered {
            attempt: u32::try_from(*attempt).unwrap_or(u32::MAX),
            status: head.status.as_u16(),
            fields: lines(&head.headers),
            sent_ms: *sent_ms,
            received_ms: *received_ms,
        }),
        Origin::Failed { failure, now_ms } => {
            Some(OriginLine::Failed { failure: named(&FAILURES, failure).to_owned(), now_ms: *now_ms })
        }
    }
}

fn outcome_line(outcome: &Outcome) -> OutcomeLine {
    let place = |origin: &OriginId| u32::try_from(origin.0).unwrap_or(u32::MAX);
    OutcomeLine {
        now_ms: outcome.now_ms,
        end: named(&ENDS, &outcome.end).to_owned(),
        total_us: outcome.total_us,
        store_us: outcome.store_us,
        origin_us: outcome.origin_us,
        request_bytes: outcome.request_bytes,
        response_bytes: outcome.response_bytes,
        request_body: outcome.request_body.clone().map(Text),
        response_body: outcome.response_body.clone().map(Text),
        response_begun: outcome.response_begun.clone().map(Text),
        origin: outcome.origin.as_ref().map(place),
        failed: outcome.failed.iter().map(place).collect(),
    }
}

fn outcome_of(line: OutcomeLine) -> Result<Outcome, LineError> {
    let origin = |place: u32| OriginId(usize::try_from(place).unwrap_or(usize::MAX));
    Ok(Outcome {
        now_ms: line.now_ms,
        end: value(&ENDS, &line.end)?,
        total_us: line.total_us,
        store_us: line.store_us,
        origin_us: line.origin_us,
        request_bytes: line.request_bytes,
        response_bytes: line.response_bytes,
        request_body: line.request_body.map(|text| text.0),
        response_body: line.response_body.map(|text| text.0),
        response_begun: line.response_begun.map(|text| text.0),
        origin: line.origin.map(origin),
        failed: line.failed.into_iter().map(origin).collect(),
        ..Outcome::default()
    })
}

fn lines(headers: &HeaderMap) -> Fields {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), Text(bytes::Bytes::copy_from_slice(value.as_bytes())))
    };
    headers.iter().map(line).collect()
}

fn map(fields: Fields) -> Result<HeaderMap, LineError> {
    let mut headers = HeaderMap::new();
    for (name, Text(value)) in fields {
        let wrong = || LineError(alloc::format!("field `{name}` cannot be read"));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| wrong())?;
        let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        headers.try_append(name, value).map_err(|_| LineError("too many fields".to_owned()))?;
    }
    Ok(headers)
}

fn named<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

fn value<T: Copy>(names: &[(&'static str, T)], name: &str) -> Result<T, LineError> {
    let found = names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| LineError(alloc::format!("`{name}` is no value here")))
}

const VERSIONS: [(&str, Version); 5] = [
    ("0.9", Version::HTTP_09),
    ("1.0", Version::HTTP_10),
    ("1.1", Version::HTTP_11),
    ("2", Version::HTTP_2),
    ("3", Version::HTTP_3),
];
const SOURCES: [(&str, Source); 3] =
    [("store", Source::Store), ("fallback", Source::Fallback), ("down", Source::Down)];
const ENDS: [(&str, End); 3] =
    [("complete", End::Complete), ("client_left", End::ClientLeft), ("origin_broke", End::OriginBroke)];
const FAILURES: [(&str, OriginFailure); 6] = [
    ("unreachable", OriginFailure::Unreachable),
    ("denied", OriginFailure::Denied),
    ("broken", OriginFailure::Broken),
    ("timeout", OriginFailure::Timeout),
    ("body_too_large", OriginFailure::BodyTooLarge),
    ("client_body", OriginFailure::ClientBody),
];
