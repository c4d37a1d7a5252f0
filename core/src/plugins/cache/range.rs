//! One part of a stored answer (RFC 9110 §14). Only whole answers are stored, so that a part can be cut from one or not;
//! requests for several parts at once go to the origin.

use alloc::format;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{dates, entry::Variant};
use crate::{request::RequestHead, verdict::Answer};

/// What `Range` asks for: from a byte on, up to a byte, or the last bytes (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// From the first of them to the second, included; none: to the end.
    From(usize, Option<usize>),
    /// So many at the end.
    Last(usize),
}

/// The one part that a request asks for; none where it asks for none or several.
pub(super) fn wanted(head: &RequestHead) -> Option<Part> {
    let mut lines = head.headers.get_all(header::RANGE).iter();
    let line = lines.next().filter(|_| head.method == Method::GET)?.to_str().ok()?;
    let (unit, set) = line.split_once('=').filter(|_| lines.next().is_none())?;
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", last) => Some(Part::Last(number(last)?)),
        (first, "") => Some(Part::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Part::From(first, Some(last)))
        }
    }
}

/// The answer cut down to the part, or whole where the part is not of this answer (`If-Range`) or it is no answer that has
/// parts. None where the part lies outside: then the origin says so.
pub(super) fn cut(mut answer: Answer, part: Part, request: &HeaderMap, stored: &Variant) -> Option<Answer> {
    if answer.status != StatusCode::OK || !is_of_this(request, stored) {
        return Some(answer);
    }
    let length = answer.body.len();
    let (first, end) = match part {
        Part::From(first, last) => (first, last.map_or(length, |last| last.saturating_add(1).min(length))),
        Part::Last(count) => (length.saturating_sub(count), length),
    };
    let bytes = answer.body.get(first..end).filter(|bytes| !bytes.is_empty())?;
    let body: Bytes = answer.body.slice_ref(bytes);
    let told = format!("bytes {first}-{}/{length}", end.saturating_sub(1));
    answer.headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(told).ok()?);
    answer.status = StatusCode::PARTIAL_CONTENT;
    answer.body = body;
    Some(answer)
}

/// RFC 9110 §13.1.5: the client has the other parts of this very answer, byte for byte.
fn is_of_this(request: &HeaderMap, stored: &Variant) -> bool {
    let Some(condition) = request.get(header::IF_RANGE) else { return true };
    let tag = stored.headers.get(header::ETAG);
    if condition.as_bytes().ends_with(b"\"") {
        return tag == Some(condition) && condition.as_bytes().starts_with(b"\"");
    }
    let modified = dates::field(&stored.headers, &header::LAST_MODIFIED);
    // A date tells two answers apart only if the second in which it was written is over (§8.8.2.2).
    let strong =
        dates::field(&stored.headers, &header::DATE).zip(modified).is_some_and(|(at, then)| at > then);
    strong && dates::field(request, &header::IF_RANGE) == modified
}

fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
