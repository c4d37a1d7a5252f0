//! Placeholders of cases: `${name}` for what a variant says, `${word:…}` for what is worked out. The innermost is
//! filled first, so that `${stored:${key}}` works.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::moment::Span;

/// The values of one variant, and which of them were asked for.
pub struct Values {
    values: BTreeMap<String, Value>,
    used: BTreeSet<String>,
    depth: usize,
    /// Whether a moment of the case's clock was asked for.
    pub moments: bool,
}

impl Values {
    /// Values by name.
    pub fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, used: BTreeSet::new(), depth: 0, moments: false }
    }

    /// A name that no placeholder has.
    pub fn unused(&self) -> Option<&str> {
        self.values.keys().find(|name| !self.used.contains(*name)).map(String::as_str)
    }

    /// Fills every placeholder below a value.
    ///
    /// # Errors
    /// A placeholder that stands for nothing.
    pub fn fill(&mut self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Array(all) => Value::Array(all.iter().map(|it| self.fill(it)).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let mut filled = Map::new();
                for (name, value) in fields {
                    filled.insert(plain(&self.text(name)?), self.fill(value)?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn text(&mut self, text: &str) -> Result<Value, String> {
        let mut text = text.to_owned();
        while let Some(start) = text.rfind("${") {
            let end =
                text[start..].find('}').ok_or_else(|| format!("`{text}`: a `${{` is not closed"))? + start;
            let value = self.one(&text[start + 2..end])?;
            if start == 0 && end + 1 == text.len() {
                let Value::String(inner) = value else { return self.nested(&value) };
                text = inner;
            } else {
                text.replace_range(start..=end, &plain(&value));
            }
        }
        Ok(Value::String(text))
    }

    /// What a variant says may hold placeholders itself, but not itself.
    fn nested(&mut self, value: &Value) -> Result<Value, String> {
        self.depth += 1;
        let filled = if self.depth > DEEPEST {
            Err("a placeholder stands for itself".to_owned())
        } else {
            self.fill(value)
        };
        self.depth -= 1;
        filled
    }

    fn one(&mut self, what: &str) -> Result<Value, String> {
        let Some((word, rest)) = what.split_once(':') else {
            self.used.insert(what.to_owned());
            let value = self.values.get(what).cloned();
            return value.ok_or_else(|| {
                format!("`${{{what}}}` stands for nothing: name it in the variant or in `defaults`")
            });
        };
        self.moments |= ["ms", "unix", "date", "iso"].contains(&word);
        worked_out(word, rest)
            .ok_or_else(|| format!("`${{{what}}}` cannot be worked out: see the README for the words"))
    }
}

fn worked_out(word: &str, rest: &str) -> Option<Value> {
    let moment_ms = || Span::read(rest).map(Span::moment_ms);
    Some(match word {
        "stored" => stored(rest).into(),
        "sha256" => hex(&Sha256::digest(rest.as_bytes())).into(),
        "hmac" => {
            let (secret, text) = rest.split_once('|')?;
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
            mac.update(text.as_bytes());
            hex(&mac.finalize().into_bytes()).into()
        }
        "repeat" => {
            let (times, text) = rest.split_once('|')?;
            text.repeat(times.parse().ok()?).into()
        }
        "ms" => moment_ms()?.into(),
        "unix" => (moment_ms()? / 1000).into(),
        "date" => httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(moment_ms()?)).into(),
        "iso" => {
            jiff::Timestamp::from_millisecond(i64::try_from(moment_ms()?).ok()?).ok()?.to_string().into()
        }
        _ => return None,
    })
}

/// What the gateway stores of a credential (contract section 5), worked out here once more.
pub fn stored(credential: &str) -> String {
    let text = if credential.starts_with("ent_") {
        credential.to_owned()
    } else {
        format!("distributed-gpu-inference-v1:{credential}")
    };
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const DEEPEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(value: &Value) -> Result<Value, String> {
        let values = [("n", json!(3)), ("key", json!("ent_demo")), ("none", json!(false))];
        Values::new(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).fill(value)
    }

    #[test]
    fn placeholders_are_filled() {
        let cases = [
            (json!("a"), json!("a")),
            (json!("${n}"), json!(3)),
            (json!("a${n}b${n}"), json!("a3b3")),
            (json!({"x${n}": ["${none}"]}), json!({"x3": [false]})),
            (json!("${ms:0s}"), json!(1_767_225_600_000_u64)),
            (json!("t=${unix:1m}"), json!("t=1767225660")),
            (json!("${date:1s}"), json!("Thu, 01 Jan 2026 00:00:01 GMT")),
            (json!("${repeat:3|ab}"), json!("ababab")),
            (
                json!("{${stored:${key}}}"),
                json!("{b945e71f0782976da01e09aead80e71ffa70e21b80549900de340e0144e3bea5}"),
            ),
            (
                json!("${stored:tok-demo-0001}"),
                json!("0077f5c578dd2db4878cc23c650c2ec600a4f6506aebc538da05c72bcdfe777c"),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(filled(&value), Ok(expected), "{value}");
        }
        for value in ["${unknown}", "${what:1}", "${ms:soon}", "${n"] {
            assert!(filled(&json!(value)).is_err(), "{value}");
        }
    }
}
