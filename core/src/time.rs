//! Moments as text: ISO 8601, as RFC 3339 and Python write it, and HTTP dates (RFC 9110 §5.6.7). No clock, and of time zones
//! only the offsets that a text names. The one place that knows the calendar's library.

use alloc::string::{String, ToString};

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{rfc2822::DateTimePrinter, strtime},
    tz::TimeZone,
};

/// Unix ms as ISO 8601 in UTC; none past the year 9999.
pub fn iso8601(unix_ms: u64) -> Option<String> {
    Some(moment(unix_ms)?.to_string())
}

/// Reads ISO 8601: unix ms, and whether the text says from which offset; where it does not, it is taken for UTC.
pub(crate) fn read_iso8601(text: &str) -> Option<(i64, bool)> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some((moment.as_millisecond(), true));
    }
    let naive: DateTime = text.parse().ok()?;
    Some((TimeZone::UTC.to_timestamp(naive).ok()?.as_millisecond(), false))
}

/// Unix ms as an HTTP date, in the one form that is written; none past the year 9999.
pub(crate) fn http_date(unix_ms: u64) -> Option<String> {
    PRINTER.timestamp_to_rfc9110_string(&moment(unix_ms)?).ok()
}

/// Reads an HTTP date as unix seconds; none if it is none of the three forms, or names the wrong day of the week.
pub(crate) fn read_http_date(text: &str) -> Option<i64> {
    // The year is four digits in the forms that have them; the parser would take fewer.
    let form = match text.len() {
        29 => "%a, %d %b %Y %H:%M:%S GMT",
        24 => "%a %b %e %H:%M:%S %Y",
        30..=33 => "%A, %d-%b-%y %H:%M:%S GMT",
        _ => return None,
    };
    let time = strtime::parse(form, text).ok()?.to_datetime().ok()?;
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_second())
}

fn moment(unix_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()
}

const PRINTER: DateTimePrinter = DateTimePrinter::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some((0, true))),
            ("2026-01-01T00:00:00.123456", Some((1_767_225_600_123, false))),
            ("2026-01-01 01:00:00,5+01:00", Some((1_767_225_600_500, true))),
            ("2025-12-31t19:30-0430", Some((1_767_225_600_000, true))),
            ("2026-01-01", Some((1_767_225_600_000, false))),
            ("2024-02-29T23:59:60z", Some((1_709_251_199_000, true))),
            ("2023-02-29", None),
            ("2026-13-01", None),
            ("2026-01-00", None),
            ("2026-01-01T24:00", None),
            ("2026-01-01T00:00:61", None),
            ("2026-01-01T00:00:00.", None),
            ("2026-01-01T00:00:00Z ", None),
            ("2026-01-01T", None),
            ("2026-1-1", None),
            ("", None),
            ("٢٠٢٦-01-01", None),
        ] {
            assert_eq!(read_iso8601(text), expected, "{text}");
        }
        assert_eq!(iso8601(1_767_225_600_120).as_deref(), Some("2026-01-01T00:00:00.12Z"));
        assert_eq!((iso8601(u64::MAX), http_date(u64::MAX)), (None, None));
    }
}
