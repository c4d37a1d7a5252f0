//! JSON as the script's library reads and writes it.

use alloc::{string::String, vec::Vec};
use serde_json::Value;

use super::whole;
use crate::config::Algorithm;

/// A limit that a record carries.
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) limit: u64,
    pub(super) window: u64,
    pub(super) algorithm: Algorithm,
    pub(super) cost: u64,
}

/// The strings of a JSON array; none if it is not one.
pub(in crate::store) fn strings(raw: &[u8]) -> Option<Vec<String>> {
    let Ok(Value::Array(items)) = serde_json::from_slice(raw) else {
        return None;
    };
    let string = |item| if let Value::String(text) = item { Some(text) } else { None };
    Some(items.into_iter().filter_map(string).collect())
}

/// The fields `limits` and `daily_limit` of a record, and how many come from the first; none if either is malformed.
pub(super) fn limits(raw: &str, daily: &str) -> Option<(Vec<Limit>, usize)> {
    let mut list = Vec::new();
    if !raw.is_empty() {
        let Ok(Value::Array(items)) = serde_json::from_str(raw) else {
            return None;
        };
        if items.len() > MAX_CARRIED {
            return None;
        }
        for item in &items {
            list.push(limit(item)?);
        }
    }
    let own = list.len();
    if !daily.is_empty() {
        let limit = whole(daily).filter(|limit| daily.len() <= 10 && *limit <= MAX)?;
        let algorithm = Algorithm::FixedWindow;
        list.push(Limit { name: "daily".into(), limit, window: 86_400_000, algorithm, cost: 1 });
    }
    let twice = |(at, limit): (usize, &Limit)| list.iter().take(at).any(|other| other.name == limit.name);
    if list.iter().enumerate().any(twice) { None } else { Some((list, own)) }
}

fn limit(item: &Value) -> Option<Limit> {
    let fields = item.as_object()?;
    let name = fields.get("name")?.as_str().filter(|name| (1..=64).contains(&name.len()))?;
    let algorithm = match fields.get("algorithm") {
        None | Some(Value::Null) => Algorithm::SlidingWindow,
        Some(name) => match name.as_str()? {
            "sliding-window" => Algorithm::SlidingWindow,
            "sliding-log" => Algorithm::SlidingLog,
            "token-bucket" => Algorithm::TokenBucket,
            "fixed-window" => Algorithm::FixedWindow,
            _ => return None,
        },
    };
    let cost = match fields.get("cost") {
        None | Some(Value::Null) => 1,
        Some(cost) => number(cost)?,
    };
    let window = number(fields.get("window_ms")?).filter(|window| *window > 0)?;
    Some(Limit { name: name.into(), limit: number(fields.get("limit")?)?, window, algorithm, cost })
}

/// A whole number of 32 bits, however written.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "guarded by the range; the way back is exact below 2^53"
)]
fn number(value: &Value) -> Option<u64> {
    let float = value.as_f64().filter(|float| (0.0..=MAX as f64).contains(float))?;
    let whole = float as u64;
    (whole as f64 == float).then_some(whole)
}

/// Appends items with commas between them.
pub(super) fn join<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(out, item);
    }
}

/// Appends a JSON string, escaped as the script's library does it: the solidus too, and DEL.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' | b'/' => out.extend_from_slice(&[b'\\', *byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => {
                let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Most limits in one record; more is malformed.
const MAX_CARRIED: usize = 16;

/// Greatest number in a limit.
const MAX: u64 = u32::MAX as u64;
