//! Directives and dates by themselves.

use http::{HeaderMap, HeaderValue};

use super::super::{dates, directives::Directives};
use crate::time::read_http_date;

fn read(lines: &[&str]) -> Directives {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("cache-control", HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    Directives::of_response(&headers)
}

#[test]
fn directives() {
    let none = Directives::default;
    let max_age = |seconds| Directives { max_age_s: Some(seconds), ..none() };
    for (lines, expected) in [
        (&["max-age=5"][..], max_age(5)),
        (&["max-age=05"], max_age(5)),
        (&[" ,, Max-Age=\"5\" ,"], max_age(5)),
        (&["max-age=\"\\5\""], max_age(5)),
        (&["max-age=4294967296"], max_age(1 << 31)),
        (&["max-age"], max_age(0)),
        (&["max-age="], max_age(0)),
        (&["max-age='5'"], max_age(0)),
        (&["max-age=5s"], max_age(0)),
        (&["max-age= 5"], max_age(0)),
        (&["max-age=5", "max-age=6"], max_age(0)),
        (&["no-storex, x-no-store, max-agex=1"], none()),
        (&["no-store=1"], Directives { no_store: true, ..none() }),
        (&["no-cache=\"a, b\", public"], Directives { no_cache: true, public: true, ..none() }),
        (&["\"no-store"], Directives { no_store: true, ..none() }),
        (&["a=\"\\\", no-store\""], none()),
        (&["\u{e9}, max-age=5"], Directives { no_store: true, ..none() }),
        (&["max-stale"], Directives { max_stale_s: Some(u64::MAX), ..none() }),
        (&["stale-if-error=3"], Directives { stale_if_error_s: Some(3), ..none() }),
    ] {
        assert_eq!(read(lines), expected, "{lines:?}");
    }
}

#[test]
fn date_forms() {
    // RFC 9110 §5.6.7.
    let at = Some(784_111_777);
    for (text, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", at),
        ("Sunday, 06-Nov-94 08:49:37 GMT", at),
        ("Sun Nov  6 08:49:37 1994", at),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Mon, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("784111777", None),
        ("", None),
    ] {
        assert_eq!(read_http_date(text), expected, "{text}");
    }
    assert_eq!(dates::value(784_111_777_999).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(dates::value(u64::MAX), None);
}
