//! Redis over HTTP as Upstash defines it, as bytes in and bytes out: commands become JSON bodies, answers become
//! [`Reply`]s. It opens no connection.
//!
//! [`encode`] is for `POST /`, [`encode_many`] for `POST /pipeline` and `POST /multi-exec`; [`headers`] go with each. Strings
//! come back in base64 (`Upstash-Encoding`), so an answer holds any bytes. What goes out is JSON and holds text alone:
//! [`Script::text_words`](super::Script::text_words) takes care of values that are none.

#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::Value;

use super::{Reply, RespError, StoreError};
use crate::config::Secret;

/// Where a single command is posted to, below the endpoint's own path.
pub const COMMAND: &str = "";

/// Where several are posted to: each has its own result.
pub const PIPELINE: &str = "/pipeline";

/// Where a transaction is posted to: all or none.
pub const MULTI_EXEC: &str = "/multi-exec";

/// The fields of every request. The one that holds the token is marked sensitive.
///
/// # Errors
/// [`StoreError::Down`] where the token cannot stand in a field.
pub fn headers(token: &Secret) -> Result<HeaderMap, StoreError> {
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut bearer = bearer
        .map_err(|_| StoreError::Down("the token of the REST endpoint holds control characters".into()))?;
    bearer.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (header::AUTHORIZATION, bearer),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::HeaderName::from_static("upstash-encoding"), HeaderValue::from_static("base64")),
    ]))
}

/// The body for one command.
///
/// # Errors
/// A word that is not UTF-8.
pub fn encode<T: AsRef<[u8]>>(words: &[T]) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(words.iter().map(|word| word.as_ref().len().saturating_add(3)).sum());
    write(words, &mut out)?;
    Ok(out)
}

/// The body for several commands.
///
/// # Errors
/// A word that is not UTF-8.
pub fn encode_many<T: AsRef<[u8]>>(commands: &[impl AsRef<[T]>]) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::new();
    out.push(b'[');
    for (index, words) in commands.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(words.as_ref(), &mut out)?;
    }
    out.push(b']');
    Ok(out)
}

fn write<T: AsRef<[u8]>>(words: &[T], out: &mut Vec<u8>) -> Result<(), StoreError> {
    out.push(b'[');
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let text = core::str::from_utf8(word.as_ref()).map_err(|_| RespError::NotText)?;
        let quoted = serde_json::to_vec(text).map_err(|_| RespError::NotText)?;
        out.extend_from_slice(&quoted);
    }
    out.push(b']');
    Ok(())
}

/// One result as it stands in an answer.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    error: Option<String>,
}

/// The answer to one command. An error of Redis itself is a reply, as it is in RESP.
///
/// # Errors
/// [`StoreError`] where the endpoint did not serve, refused the token, or answered nonsense.
pub fn decode(status: u16, body: &[u8]) -> Result<Reply, StoreError> {
    let answer: Answer = read(status, body)?;
    reply(answer)
}

/// The answers to a pipeline or transaction. A transaction that was discarded has one error for all.
///
/// # Errors
/// As [`decode`]; another number of answers than `expected`.
pub fn decode_many(status: u16, body: &[u8], expected: usize) -> Result<Vec<Reply>, StoreError> {
    if status == BAD_REQUEST {
        return match decode(status, body)? {
            Reply::Error(line) => Err(StoreError::from_server(&line)),
            _ => Err(RespError::BadJson.into()),
        };
    }
    let answers: Vec<Answer> = read(status, body)?;
    if answers.len() != expected {
        return Err(RespError::WrongWidth { expected, got: answers.len() }.into());
    }
    answers.into_iter().map(reply).collect()
}

fn read<'b, T: Deserialize<'b>>(status: u16, body: &'b [u8]) -> Result<T, StoreError> {
    if matches!(status, 200..=299 | BAD_REQUEST) {
        return serde_json::from_slice(body).map_err(|_| RespError::BadJson.into());
    }
    let said = serde_json::from_slice::<Answer>(body).ok().and_then(|answer| answer.error);
    let said = said.map(|said| format!(": {}", said.chars().take(MAX_SAID).collect::<String>()));
    let said = said.unwrap_or_default();
    Err(match status {
        401 | 403 => StoreError::from_server(
            format!("NOAUTH the REST endpoint refuses the token ({status}{said})").as_bytes(),
        ),
        404 | 405 | 300..=399 => StoreError::Down(format!(
            "the REST endpoint answered {status}{said}; its URL is without `/pipeline` or a command"
        )),
        _ => StoreError::Down(format!("the REST endpoint answered {status}{said}")),
    })
}

fn reply(answer: Answer) -> Result<Reply, StoreError> {
    if let Some(line) = answer.error {
        return Ok(Reply::Error(line.into()));
    }
    match answer.result {
        // The one string that is never encoded.
        Value::String(text) if text == "OK" => Ok(Reply::Status(Bytes::from_static(b"OK"))),
        value => plain(value),
    }
}

fn plain(value: Value) -> Result<Reply, StoreError> {
    Ok(match value {
        Value::Null => Reply::Nil,
        Value::Bool(truth) => Reply::Bool(truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Reply::Int(number),
            (None, Some(number)) => Reply::Double(number),
            (None, None) => return Err(RespError::BadNumber.into()),
        },
        Value::String(text) => {
            Reply::Bulk(BASE64_STANDARD.decode(text).map_err(|_| RespError::BadBase64)?.into())
        }
        Value::Array(items) => Reply::Array(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Value::Object(mut fields) => match fields.remove("error") {
            Some(Value::String(line)) => Reply::Error(line.into()),
            _ => return Err(RespError::BadJson.into()),
        },
    })
}

/// Bytes as text for [`Script::text_words`](super::Script::text_words): each byte as the character of the same number, so
/// 0x80 and above become two. The script turns it back.
pub(super) fn text_of(bytes: &[u8]) -> Vec<u8> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    text.into_bytes()
}

const BAD_REQUEST: u16 = 400;

/// Characters of an endpoint's own words that go into an error.
const MAX_SAID: usize = 200;
