//! Redis's replies as JSON, the way Upstash writes them: what RESP2 would have said, so doubles are strings and maps are
//! flat arrays.

use acip_core::store::Reply;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// How strings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are; bytes that are not UTF-8 become U+FFFD.
    Plain,
    /// Base64, but for a plain `OK`.
    Base64,
}

/// `{"result":…}`, or `{"error":…}` for an error.
pub(super) fn object(reply: &Reply, encoding: Encoding, out: &mut Vec<u8>) {
    if let Reply::Error(line) = reply {
        return error(line, out);
    }
    out.extend_from_slice(b"{\"result\":");
    match reply {
        // Clients know this one word and do not decode it.
        Reply::Status(text) if text.as_ref() == b"OK" => out.extend_from_slice(b"\"OK\""),
        reply => value(reply, encoding, out),
    }
    out.push(b'}');
}

/// `{"error":…}`; never in base64.
pub(super) fn error(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":");
    quoted(line, out);
    out.push(b'}');
}

fn value(reply: &Reply, encoding: Encoding, out: &mut Vec<u8>) {
    match reply {
        Reply::Nil => out.extend_from_slice(b"null"),
        Reply::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Reply::Bool(truth) => out.push(b'0' + u8::from(*truth)),
        Reply::Double(number) => text(double(*number).as_bytes(), encoding, out),
        Reply::Status(bytes) | Reply::Bulk(bytes) | Reply::BigNumber(bytes) => text(bytes, encoding, out),
        // Within an array there is no other place for it; only EXEC and scripts answer so.
        Reply::Error(line) => error(line, out),
        Reply::Array(items) | Reply::Push(items) => {
            row(items.iter(), out, |item, out| value(item, encoding, out));
        }
        Reply::Map(pairs) => {
            let flat = pairs.iter().flat_map(|(key, item)| [key, item]);
            row(flat, out, |item, out| value(item, encoding, out));
        }
    }
}

/// A JSON array.
pub(super) fn row<T>(
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

fn text(bytes: &[u8], encoding: Encoding, out: &mut Vec<u8>) {
    match encoding {
        Encoding::Plain => quoted(bytes, out),
        Encoding::Base64 => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
    }
}

fn double(number: f64) -> String {
    match number {
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        number if number.is_nan() => "nan".into(),
        number => number.to_string(),
    }
}

/// A JSON string.
fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(place) = rest.find(|character: char| matches!(character, '"' | '\\' | '\0'..='\u{1f}'))
        {
            let (plain, special) = rest.split_at(place);
            out.extend_from_slice(plain.as_bytes());
            let mut characters = special.chars();
            match characters.next() {
                Some('"') => out.extend_from_slice(b"\\\""),
                Some('\\') => out.extend_from_slice(b"\\\\"),
                Some('\n') => out.extend_from_slice(b"\\n"),
                Some('\r') => out.extend_from_slice(b"\\r"),
                Some('\t') => out.extend_from_slice(b"\\t"),
                Some(other) => out.extend_from_slice(format!("\\u{:04x}", u32::from(other)).as_bytes()),
                None => {}
            }
            rest = characters.as_str();
        }
        out.extend_from_slice(rest.as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &'static str) -> Reply {
        Reply::Bulk(text.into())
    }

    #[test]
    fn replies_become_json() {
        let check = |reply: &Reply, plain: &str, base64: &str| {
            for (encoding, expected) in [(Encoding::Plain, plain), (Encoding::Base64, base64)] {
                let mut out = Vec::new();
                object(reply, encoding, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), expected, "{reply:?}");
                assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{expected}");
            }
        };
        check(&Reply::Nil, r#"{"result":null}"#, r#"{"result":null}"#);
        check(&Reply::Int(-5), r#"{"result":-5}"#, r#"{"result":-5}"#);
        check(&Reply::Status("OK".into()), r#"{"result":"OK"}"#, r#"{"result":"OK"}"#);
        check(&Reply::Status("PONG".into()), r#"{"result":"PONG"}"#, r#"{"result":"UE9ORw=="}"#);
        check(&bulk("OK"), r#"{"result":"OK"}"#, r#"{"result":"T0s="}"#);
        check(&bulk("é\"\\\n\u{1}"), r#"{"result":"é\"\\\n\u0001"}"#, r#"{"result":"w6kiXAoB"}"#);
        check(&Reply::Bulk(b"a\xff".as_slice().into()), "{\"result\":\"a\u{fffd}\"}", r#"{"result":"Yf8="}"#);
        check(&Reply::Double(1.5), r#"{"result":"1.5"}"#, r#"{"result":"MS41"}"#);
        check(&Reply::Double(f64::NEG_INFINITY), r#"{"result":"-inf"}"#, r#"{"result":"LWluZg=="}"#);
        check(&Reply::Bool(true), r#"{"result":1}"#, r#"{"result":1}"#);
        let nested = Reply::Array(vec![
            bulk("a"),
            Reply::Array(vec![Reply::Nil, Reply::Int(1)]),
            Reply::Status("OK".into()),
        ]);
        check(&nested, r#"{"result":["a",[null,1],"OK"]}"#, r#"{"result":["YQ==",[null,1],"T0s="]}"#);
        let map = Reply::Map(vec![(bulk("k"), Reply::Int(1)), (bulk("l"), Reply::Map(vec![]))]);
        check(&map, r#"{"result":["k",1,"l",[]]}"#, r#"{"result":["aw==",1,"bA==",[]]}"#);
        check(&Reply::Error("ERR no".into()), r#"{"error":"ERR no"}"#, r#"{"error":"ERR no"}"#);
    }
}
