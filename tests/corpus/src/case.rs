//! What a case may say. Every field that is not listed here is an error; `tests/cases/README.md` explains them.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    expect::{Expect, Text},
    moment::Span,
};

/// One case, with everything that its file shares filled in and no placeholder left.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `file.toml`, `file.toml: case` or `file.toml: case: variant`; set by the loader.
    #[serde(skip)]
    pub name: String,
    /// Which sentence of the contract or which section of an RFC it holds the gateway to.
    pub about: String,
    /// What a target needs to run it, besides what can be seen from the case itself.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The gateway's document, as `gateway.toml` has it.
    #[serde(default)]
    pub document: Map<String, Value>,
    /// The gateway's variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// API key records, by the key in clear.
    #[serde(default)]
    pub keys: BTreeMap<String, BTreeMap<String, Value>>,
    /// Learned tokens in clear, by worker id.
    #[serde(default)]
    pub workers: BTreeMap<String, Learned>,
    /// What else stands in the store, by key.
    #[serde(default)]
    pub store: BTreeMap<String, Entry>,
    /// The requests, in order.
    pub step: Vec<Step>,
}

/// What is known of a worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Its current token.
    pub token: String,
    /// Unix ms.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

/// One key of the store: exactly one of the three.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A string.
    pub text: Option<Text>,
    /// A string that holds JSON.
    pub json: Option<Value>,
    /// A hash.
    pub hash: Option<BTreeMap<String, Text>>,
    /// Time to live; none: for ever.
    pub ttl: Option<Span>,
}

/// One request and what is to come of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, from the start of the case; none: when the last step ended.
    pub at: Option<Span>,
    /// The other end of the connection.
    pub client: Option<IpAddr>,
    /// Whether that connection is encrypted.
    #[serde(default)]
    pub tls: bool,
    /// The region that the platform reports.
    pub region: Option<String>,
    /// The client's address that the platform vouches for.
    pub vouched: Option<IpAddr>,
    /// `GET /path?query`.
    pub request: String,
    /// Fields: a text, a list of texts (one line each), or `false` for none.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// Body as text.
    pub body: Option<String>,
    /// Body as JSON.
    pub json: Option<Value>,
    /// Whether the client leaves before it has read the body.
    #[serde(default)]
    pub leaves: bool,
    /// What the origins say, in the order in which they are asked; none: nobody may ask them.
    #[serde(default, deserialize_with = "one_or_more")]
    pub origin: Vec<Says>,
    /// How the store is.
    #[serde(default)]
    pub store: StoreIs,
    /// The origins' state before the request, by name; those not named are idle and healthy. None: as the case so
    /// far has made it.
    pub origins: Option<BTreeMap<String, OriginIs>>,
    /// How many turns have been taken. None: as the case so far has made it.
    pub turn: Option<u64>,
    /// The draw.
    #[serde(default)]
    pub draw: u64,
    /// Whether the process is draining.
    #[serde(default)]
    pub draining: bool,
    /// Whether upgrades can pass.
    #[serde(default = "yes")]
    pub can_upgrade: bool,
    /// How often it is sent, each time with the same expectation.
    #[serde(default = "once")]
    pub repeat: u32,
    /// Members of the answer, by JSON pointer (RFC 6901), that later steps say by these names: `{{name}}`.
    #[serde(default)]
    pub keeps: BTreeMap<String, String>,
    /// What is to come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// What an origin does with one attempt.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Says {
    /// Status; none: 200.
    pub status: Option<u16>,
    /// Fields, as in a request. `content-type` is `application/json` unless given.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// Body as text.
    pub body: Option<String>,
    /// Body as JSON; `{}` if there is no `body` either.
    pub json: Option<Value>,
    /// How long until the head.
    pub delay: Option<Span>,
    /// There is no head, and this is why.
    pub fails: Option<Fails>,
    /// The body breaks off at its end.
    #[serde(default)]
    pub breaks: bool,
}

/// Why an origin sends no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fails {
    /// No connection.
    Unreachable,
    /// The platform forbids the destination.
    Denied,
    /// The connection breaks once the request is there.
    Broken,
    /// Silence for longer than the gateway waits.
    Timeout,
}

/// How the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreIs {
    /// It answers.
    #[default]
    Up,
    /// It does not; the process has a memory of its own.
    Down,
    /// It does not, and there is no such memory.
    Gone,
}

/// An origin's state.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginIs {
    /// Requests under way.
    #[serde(default)]
    pub in_flight: u32,
    /// Its peak EWMA, microseconds; 0: unknown.
    #[serde(default)]
    pub ewma_us: u64,
    /// It failed a moment ago and is ejected.
    #[serde(default)]
    pub ejected: bool,
}

/// What not every target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The case's own time.
    Clock,
    /// The case's own chance and turns.
    Chance,
    /// The client's address or what the platform says of it.
    Place,
    /// A store that fails on demand.
    Failure,
    /// Keys that expire by the case's time.
    Expiry,
    /// The state of origins, or ones that cannot be reached.
    Origins,
    /// Events and store writes, or other things that only the inside shows.
    Inside,
    /// The head as it came over the wire, where a platform reads it first.
    Wire,
    /// Method, path and host as the client wrote them, where a platform reads them first.
    Raw,
    /// A build of which no process sees all requests.
    Edge,
    /// A build of which one process sees all requests, and remembers them.
    Memory,
    /// The plugin of `examples/custom-plugin`.
    Example,
    /// A plugin that fails where the document says so.
    Failing,
}

impl Need {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Clock,
        Self::Chance,
        Self::Place,
        Self::Failure,
        Self::Expiry,
        Self::Origins,
        Self::Inside,
        Self::Wire,
        Self::Raw,
        Self::Edge,
        Self::Memory,
        Self::Example,
        Self::Failing,
    ];
}

fn yes() -> bool {
    true
}

fn once() -> u32 {
    1
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Says>, D::Error> {
    use serde::de::Error;
    let value = Value::deserialize(source)?;
    match value {
        Value::Array(all) => all.into_iter().map(serde_json::from_value).collect::<Result<_, _>>(),
        one => serde_json::from_value(one).map(|one| vec![one]),
    }
    .map_err(D::Error::custom)
}
