//! Reads answers: `{"result":…}`, `{"error":…}`, or an array of these.
//!
//! Strings are base64, but for the word `OK`, which is the base64 of nothing. Doubles and maps, which Upstash writes as
//! strings and flat arrays, are taken as JSON numbers and objects as well.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use core::{cell::Cell, fmt};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::store::{Reply, RespError};

/// A whole answer.
pub(super) enum Answer {
    /// To one command, or an error for all.
    One(Reply),
    /// To several.
    Many(Vec<Reply>),
}

/// Reads a whole answer.
pub(super) fn answer(body: &[u8]) -> Result<Answer, RespError> {
    let limits = Limits { elements: Cell::new(0), failed: Cell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let answer = Top(&limits).deserialize(&mut deserializer).and_then(|answer| {
        deserializer.end()?;
        Ok(answer)
    });
    answer.map_err(|_| limits.failed.get().unwrap_or(RespError::BadJson))
}

/// What one answer has used up so far.
struct Limits {
    elements: Cell<usize>,
    /// What is wrong besides the JSON.
    failed: Cell<Option<RespError>>,
}

impl Limits {
    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        let elements = self.elements.get().saturating_add(1);
        self.elements.set(elements);
        if elements > MAX_ELEMENTS { Err(self.fail(RespError::TooManyElements)) } else { Ok(()) }
    }

    fn fail<E: serde::de::Error>(&self, error: RespError) -> E {
        self.failed.set(Some(error));
        E::custom(error)
    }

    fn string<E: serde::de::Error>(&self, text: &str) -> Result<Reply, E> {
        if text == "OK" {
            return Ok(Reply::Status(Bytes::from_static(b"OK")));
        }
        let bytes = STANDARD.decode(text).map_err(|_| self.fail(RespError::BadBase64))?;
        Ok(Reply::Bulk(bytes.into()))
    }
}

/// The whole answer.
struct Top<'l>(&'l Limits);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Answer;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Answer, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result, or an array of results")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Answer, A::Error> {
        Outcome(self.0).visit_map(map).map(Answer::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Answer, A::Error> {
        let mut replies = Vec::new();
        while let Some(reply) = items.next_element_seed(Outcome(self.0))? {
            self.0.count()?;
            replies.push(reply);
        }
        Ok(Answer::Many(replies))
    }
}

/// `{"result":…}` or `{"error":…}`; other members are nobody's business.
struct Outcome<'l>(&'l Limits);

impl<'de> DeserializeSeed<'de> for Outcome<'_> {
    type Value = Reply;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reply, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Outcome<'_> {
    type Value = Reply;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `result` or `error`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reply, A::Error> {
        let (mut result, mut error) = (None, None);
        while let Some(Name(name)) = map.next_key()? {
            self.0.count()?;
            match name.as_ref() {
                "result" => result = Some(map.next_value_seed(Value(self.0))?),
                "error" => error = map.next_value::<Option<String>>()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (error, result) {
            (Some(line), _) => Ok(Reply::Error(line.into())),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(A::Error::custom("neither `result` nor `error`")),
        }
    }
}

/// A value within a result.
struct Value<'l>(&'l Limits);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Reply;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reply, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Reply;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply")
    }

    fn visit_unit<E>(self) -> Result<Reply, E> {
        Ok(Reply::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Reply, E> {
        Ok(Reply::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Reply, E> {
        Ok(Reply::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Reply, E> {
        Ok(i64::try_from(number).map_or_else(|_| Reply::BigNumber(format!("{number}").into()), Reply::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Reply, E> {
        Ok(Reply::Double(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Reply, E> {
        self.0.string(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Reply, A::Error> {
        let mut replies = Vec::new();
        while let Some(reply) = items.next_element_seed(Value(self.0))? {
            self.0.count()?;
            replies.push(reply);
        }
        Ok(Reply::Array(replies))
    }

    /// A map, or the error of one command of a transaction: its text is no base64.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reply, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            self.0.count()?;
            if name == "error" && pairs.is_empty() {
                let line: String = map.next_value()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Reply::Error(line.into()));
            }
            let key = self.0.string(&name)?;
            pairs.push((key, map.next_value_seed(Value(self.0))?));
        }
        Ok(Reply::Map(pairs))
    }
}

/// A member's name, copied only where it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.into())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Elements of one whole answer, nested ones included. How deep they nest is bounded by the JSON reader.
const MAX_ELEMENTS: usize = 1 << 20;
