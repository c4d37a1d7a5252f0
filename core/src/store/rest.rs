//! Redis over HTTP as Upstash defines it, as bytes in and bytes out: commands become JSON bodies, answers become
//! [`Reply`]s. It opens no connection.
//!
//! [`encode`] is for `POST /`, [`encode_many`] for `POST /pipeline` and `POST /multi-exec`; [`headers`] go with each. Strings
//! come back in base64 (`Upstash-Encoding`), so an answer holds any bytes. What goes out is JSON and holds text alone:
//! [`Script::text_words`](super::Script::text_words) takes care of values that are none.

mod decode;
#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};
use http::{HeaderMap, HeaderValue, header};

use super::{Reply, RespError, StoreError};
use crate::config::Secret;
use decode::Answer;

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

fn write<T: AsRef<[u8]>>(words: &[T], out: &mut Vec<u8>) -> Result<(), RespError> {
    out.push(b'[');
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(core::str::from_utf8(word.as_ref()).map_err(|_| RespError::NotText)?, out);
    }
    out.push(b']');
    Ok(())
}

/// A JSON string. RFC 8259 §7.
fn quote(mut text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    while let Some((plain, special, rest)) = cut(text) {
        out.extend_from_slice(plain.as_bytes());
        match special {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            control => out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes()),
        }
        text = rest;
    }
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// What stands before the first character that must be escaped, that character, and what follows.
fn cut(text: &str) -> Option<(&str, char, &str)> {
    let place = text.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')?;
    let (plain, rest) = text.split_at_checked(place)?;
    let mut characters = rest.chars();
    Some((plain, characters.next()?, characters.as_str()))
}

/// The answer to one command. An error of Redis itself is a reply, as it is in RESP.
///
/// # Errors
/// [`StoreError`] where the endpoint did not serve, refused the token, or answered nonsense.
pub fn decode(status: u16, body: &[u8]) -> Result<Reply, StoreError> {
    match read(status, body)? {
        Answer::One(reply) => Ok(reply),
        Answer::Many(_) => Err(RespError::BadJson.into()),
    }
}

/// The answers to a pipeline or transaction. A transaction that was discarded has one error for all.
///
/// # Errors
/// As [`decode`]; another number of answers than `expected`.
pub fn decode_many(status: u16, body: &[u8], expected: usize) -> Result<Vec<Reply>, StoreError> {
    match read(status, body)? {
        Answer::Many(replies) if replies.len() == expected => Ok(replies),
        Answer::Many(replies) => Err(RespError::WrongWidth { expected, got: replies.len() }.into()),
        Answer::One(Reply::Error(line)) => Err(StoreError::from_server(&line)),
        Answer::One(_) => Err(RespError::BadJson.into()),
    }
}

fn read(status: u16, body: &[u8]) -> Result<Answer, StoreError> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(RespError::BulkTooLong.into());
    }
    let answer = decode::answer(body);
    if matches!(status, 200..=299 | BAD_REQUEST) {
        return Ok(answer?);
    }
    let said = match answer {
        Ok(Answer::One(Reply::Error(line))) => {
            let line = String::from_utf8_lossy(&line);
            format!(": {}", line.chars().take(MAX_SAID).collect::<String>())
        }
        _ => String::new(),
    };
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

/// Bytes as text for [`Script::text_words`](super::Script::text_words): each byte as the character of the same number, so
/// 0x80 and above become two. The script turns it back.
pub(super) fn text_of(bytes: &[u8]) -> Vec<u8> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    text.into_bytes()
}

/// Longest answer that is read; whoever moves the bytes stops there. It is more than four cached bodies of the largest size
/// that is sensible, in base64.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

const BAD_REQUEST: u16 = 400;

/// Characters of an endpoint's own words that go into an error.
const MAX_SAID: usize = 200;
