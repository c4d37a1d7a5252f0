//! HTTP dates (RFC 9110 §5.6.7) as unix seconds. The one form that is written, the three that are read.

use alloc::string::String;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{
    Timestamp,
    fmt::{rfc2822::DateTimePrinter, strtime},
};

/// Reads a date; none if it is none of the three forms.
pub(super) fn parse(text: &str) -> Option<i64> {
    // The year is four digits in the forms that have them; the parser would take fewer.
    let form = match text.len() {
        29 => "%a, %d %b %Y %H:%M:%S GMT",
        24 => "%a %b %e %H:%M:%S %Y",
        30..=33 => "%A, %d-%b-%y %H:%M:%S GMT",
        _ => return None,
    };
    let time = strtime::parse(form, text).ok()?.to_datetime().ok()?;
    let zoned = jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?;
    Some(zoned.as_second())
}

/// The date in a field that must have one value; none if it is absent, unreadable or contradicts itself.
pub(super) fn field(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.any(|other| other != first) {
        return None;
    }
    parse(first.to_str().ok()?)
}

/// Writes a date; none past the year 9999.
pub(super) fn value(unix_ms: u64) -> Option<HeaderValue> {
    let time = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    let text: String = PRINTER.timestamp_to_rfc9110_string(&time).ok()?;
    HeaderValue::try_from(text).ok()
}

const PRINTER: DateTimePrinter = DateTimePrinter::new();
