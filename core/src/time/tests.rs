//! Against a calendar library, over all moments and over texts that are nearly right.

use alloc::{format, string::ToString};
use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{rfc2822::DateTimePrinter, strtime},
    tz::TimeZone,
};
use proptest::prelude::*;

use super::*;

/// The library's last moment.
const LAST_MS: u64 = 253_402_207_200_999;
const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

fn moment(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap()
}

fn theirs(text: &str) -> Option<i64> {
    let naive = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    Some(text.parse::<Timestamp>().ok().or_else(naive)?.as_millisecond())
}

#[test]
fn moments_are_read_as_they_are_written() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", Some((0, true))),
        ("2026-01-01T00:00:00.123456", Some((1_767_225_600_123, false))),
        ("2026-01-01 01:00:00,5+01:00", Some((1_767_225_600_500, true))),
        ("2025-12-31t19:30-0430", Some((1_767_225_600_000, true))),
        ("2025-12-31T19:00:00-05", Some((1_767_225_600_000, true))),
        ("2026-01-01", Some((1_767_225_600_000, false))),
        ("2024-02-29T23:59:60z", Some((1_709_251_199_000, true))),
        ("2023-02-29", None),
        ("2026-13-01", None),
        ("2026-00-01", None),
        ("2026-01-00", None),
        ("2026-01-01T24:00", None),
        ("2026-01-01T00:60", None),
        ("2026-01-01T00:00:61", None),
        ("2026-01-01T00:00:00.", None),
        ("2026-01-01T00:00:00Z ", None),
        ("2026-01-01T00:00:00+24:00", None),
        ("2026-01-01T00:00:00+00:0", None),
        ("2026-01-01T", None),
        ("2026-1-1", None),
        ("", None),
        ("٢٠٢٦-01-01", None),
    ] {
        assert_eq!(read_iso8601(text), expected, "{text}");
    }
    assert_eq!(iso8601(1_767_225_600_120).as_deref(), Some("2026-01-01T00:00:00.12Z"));
    assert_eq!(iso8601(253_402_300_799_999).as_deref(), Some("9999-12-31T23:59:59.999Z"));
    assert_eq!((iso8601(253_402_300_800_000), http_date(u64::MAX)), (None, None));
}

#[test]
fn every_day_is_the_library_s() {
    // 400 years have all the leaps that there are.
    for day in 0..146_097_u64 {
        let ms = day * 86_400_000;
        let text = iso8601(ms).unwrap();
        assert_eq!(read_iso8601(&text), Some((i64::try_from(ms).unwrap(), true)), "{text}");
        assert_eq!(text, moment(ms).to_string());
    }
}

proptest! {
    #[test]
    fn all_forms_are_the_library_s(ms in 0..=LAST_MS, naive: bool) {
        let time = moment(ms);
        prop_assert_eq!(iso8601(ms), Some(time.to_string()));
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap();
        prop_assert_eq!(http_date(ms), Some(date));
        let mut text = time.to_string();
        if naive {
            text.pop();
        }
        prop_assert_eq!(read_iso8601(&text).map(|(ms, _)| ms), theirs(&text));
        for form in FORMS {
            let text = strtime::format(form, &time.to_zoned(TimeZone::UTC)).unwrap();
            // Two digits of a year mean one of a hundred.
            let expected = strtime::parse(form, &text).ok().and_then(|parsed| parsed.to_datetime().ok());
            let expected = expected.map(|time| TimeZone::UTC.to_timestamp(time).unwrap().as_second());
            prop_assert_eq!(read_http_date(&text), expected, "{}", text);
        }
    }

    /// Where both read a text, they read the same moment; nothing panics.
    #[test]
    fn slips_are_refused_or_read_alike(
        ms in 0..=LAST_MS,
        form in 0_usize..4,
        at in any::<prop::sample::Index>(),
        slip in "[0-9A-Za-z:,. +-]{0,2}",
    ) {
        let time = moment(ms);
        let text = match FORMS.get(form) {
            Some(form) => strtime::format(form, &time.to_zoned(TimeZone::UTC)).unwrap(),
            None => time.to_string(),
        };
        let at = at.index(text.len());
        let text = format!("{}{slip}{}", &text[..at], &text[at + 1..]);
        if let (Some((ours, _)), Some(theirs)) = (read_iso8601(&text), theirs(&text)) {
            prop_assert_eq!(ours, theirs, "{}", text);
        }
        if let (Some(form), Some(ours)) = (FORMS.get(form), read_http_date(&text))
            && let Some(theirs) = strtime::parse(form, &text).ok().and_then(|parsed| parsed.to_datetime().ok())
        {
            prop_assert_eq!(ours, TimeZone::UTC.to_timestamp(theirs).unwrap().as_second(), "{}", text);
        }
    }
}
