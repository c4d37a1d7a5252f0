//! HTTP dates (RFC 9110 §5.6.7) in fields.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::time::{http_date, read_http_date};

/// The date in a field that must have one value, as unix seconds; none if it is absent, unreadable or contradicts itself.
pub(super) fn field(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.any(|other| other != first) {
        return None;
    }
    read_http_date(first.to_str().ok()?)
}

/// Writes a date; none past the year 9999.
pub(super) fn value(unix_ms: u64) -> Option<HeaderValue> {
    HeaderValue::try_from(http_date(unix_ms)?).ok()
}
