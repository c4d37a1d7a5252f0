//! Views into JSON that somebody else wrote: what is not as expected is absent.

use alloc::{string::String, string::ToString, vec::Vec};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use crate::{http::target, time::read_iso8601};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// Bytes of a body that are worth keeping to look into it: the answers that are looked for are a few hundred.
pub(crate) const CAPTURE_BYTES: usize = 65_536;

/// Whether a body with these fields may be JSON as it stands: a stream must not be held back to be looked into, and an
/// encoded body cannot be.
pub(crate) fn is_readable(headers: &HeaderMap) -> bool {
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let json = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|text| text.split(';').next().unwrap_or_default().trim().ends_with("json"))
    };
    headers.get(header::CONTENT_ENCODING).is_none_or(plain)
        && headers.get(header::CONTENT_TYPE).is_none_or(json)
}

/// The object that a captured body is.
pub(crate) fn object(body: Option<&Bytes>) -> Option<Object> {
    object_of(body?)
}

/// The object that these bytes are.
pub(crate) fn object_of(bytes: &[u8]) -> Option<Object> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// An object that begins so: its whole members, as an object of their own. None where not one of them has ended.
pub(crate) fn begun(prefix: &[u8]) -> Option<Vec<u8>> {
    let (mut depth, mut quoted, mut escaped, mut end) = (0_u32, false, false, None);
    for (at, byte) in prefix.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => end = Some(at),
            _ => {}
        }
    }
    let whole = [prefix.get(..end?)?, b"}"].concat();
    object_of(&whole).map(|_| whole)
}

/// A text in it.
pub(crate) fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str()
}

/// An id in it, in the one spelling that ids of paths have, too.
pub(crate) fn id(object: &Object, name: &str) -> Option<String> {
    let id = match object.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = (1..=MAX_ID_BYTES).contains(&id.len()) && !id.contains(['/', '\\']);
    target::canonical_id(&id).ok().filter(|_| fits)
}

/// A time as unix ms: a number of seconds, or ISO 8601, which is UTC where it says nothing else.
pub(crate) fn time_ms(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => seconds_ms(number.as_f64()?),
        Value::String(text) => text_time_ms(text),
        _ => None,
    }
}

/// The same for a bare text.
pub(crate) fn text_time_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_ms(seconds);
    }
    u64::try_from(read_iso8601(text)?.0).ok()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "guarded by the range")]
fn seconds_ms(seconds: f64) -> Option<u64> {
    (0.0..=MAX_SECONDS).contains(&seconds).then_some((seconds * 1000.0) as u64)
}

const MAX_ID_BYTES: usize = 200;
/// The end of the year 9999.
const MAX_SECONDS: f64 = 253_402_300_799.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_members_of_what_has_only_begun() {
        for (prefix, expected) in [
            (r#"{"job_id":"j1","result":"aaa"#, Some(r#"{"job_id":"j1"}"#)),
            (
                r#" {"a":{"b":[1,2],"c":"}\\"},"d":"\",{","e":[1,"#,
                Some(r#" {"a":{"b":[1,2],"c":"}\\"},"d":"\",{"}"#),
            ),
            (r#"{"job_id":"j1","result"#, Some(r#"{"job_id":"j1"}"#)),
            (r#"{"job_id":"j1"#, None),
            (r#"{"a":[1,2,3"#, None),
            (r#"["a","b","#, None),
            (r#"{"a" "b","#, None),
            (r#"}},{"#, None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(begun(prefix.as_bytes()), expected, "{prefix}");
        }
    }
}
