//! What a case expects of one step. What is not written is not compared, but for what [`crate::check`] holds every
//! answer to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::moment::Span;

/// Expectations of one step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Status of the answer.
    pub status: Option<u16>,
    /// Code of contract section 7; checks status, content type and shape of the answer as well.
    pub error: Option<String>,
    /// Fields of the answer.
    #[serde(default)]
    pub headers: BTreeMap<String, Field>,
    /// The whole body.
    pub body: Option<String>,
    /// The body as JSON: everything named here is there; a text is read as JSON (TOML has no null).
    pub json: Option<Value>,
    /// Members that the body does not have, `a.b`.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// `X-Gateway-Cache`; `none` where the cache was not asked.
    pub cache: Option<String>,
    /// What the first origin asked gets.
    #[serde(default)]
    pub sent: Sent,
    /// Origins that are asked, by name, in order.
    pub origins: Option<Vec<String>>,
    /// Whether an origin is asked after the client has its answer.
    #[serde(default)]
    pub behind: bool,
    /// Whether the body breaks off at the client.
    #[serde(default)]
    pub breaks: bool,
    /// Commands to the store before the answer.
    pub asks: Option<u32>,
    /// Events that come in this order, perhaps among others: `gateway:auth:rejected missing`, or the name alone.
    #[serde(default)]
    pub events: Vec<String>,
    /// Events that do not come: names, or names with details.
    #[serde(default)]
    pub no_events: Vec<String>,
    /// All that the store is told after the answer, in order.
    pub writes: Option<Vec<Write>>,
    /// The fixed word with which metrics and log name a refusal.
    pub refused: Option<String>,
    /// The matched pattern, as metrics have it.
    pub route: Option<String>,
    /// The record id of the credential, as the log has it.
    pub identity: Option<String>,
    /// Strings of the store afterwards.
    #[serde(default)]
    pub store: BTreeMap<String, Kept>,
}

/// A field of a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// `true`: it is there. `false`: it is not.
    There(bool),
    /// A number, as text.
    Number(i64),
    /// All lines, joined with `, `.
    Is(String),
    /// The lines.
    Lines(Vec<String>),
    /// Part of it.
    Part(Part),
}

/// Part of a field.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Begins so.
    pub starts: Option<String>,
    /// Holds this.
    pub contains: Option<String>,
    /// Does not hold this.
    pub lacks: Option<String>,
}

/// What an origin gets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Method and target as the origin reads them: `GET /path?query`.
    pub request: Option<String>,
    /// Fields.
    #[serde(default)]
    pub headers: BTreeMap<String, Field>,
    /// Body.
    pub body: Option<String>,
    /// How long its head is waited for.
    pub timeout: Option<Span>,
}

/// One operation that the store is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// `set`, `hash`, `delete`, `index`, `unindex`, `spend`, `refund`.
    pub op: String,
    /// Which key.
    pub key: String,
    /// Of `set`: the value; of `index`: the member.
    pub value: Option<Text>,
    /// Of `set`: the value, as JSON.
    pub json: Option<Value>,
    /// Of `hash`: its fields, all of them.
    pub fields: Option<BTreeMap<String, Text>>,
    /// Time to live.
    pub ttl: Option<Span>,
}

/// A text, or a number that a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        match Value::deserialize(source)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(serde::de::Error::custom(format!("`{other}` is no text"))),
        }
    }
}

/// A string of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Kept {
    /// `true`: it is there. `false`: it is not.
    There(bool),
    /// Its value.
    Is(Text),
    /// Its value, as JSON: everything named here is there.
    Json {
        /// The members.
        json: Value,
    },
}
