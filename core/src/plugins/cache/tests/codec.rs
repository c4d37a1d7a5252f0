//! The store value: whole round trips, and bytes that somebody made up.

use alloc::vec::Vec;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::super::{
    entry::{Entry, MAX_VARIANTS, Variant},
    freshness::Life,
    vary::Selector,
};

fn name() -> impl Strategy<Value = HeaderName> {
    "[a-z][a-z0-9-]{0,20}".prop_map(|text| HeaderName::try_from(text).unwrap())
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let text = "[ -~]{0,30}".prop_map(|text| HeaderValue::try_from(text).unwrap());
    let bytes =
        proptest::collection::vec(0x80u8.., 0..9).prop_map(|it| HeaderValue::from_bytes(&it).unwrap());
    let value = prop_oneof![3 => text, 1 => bytes];
    proptest::collection::vec((name(), value), 0..12).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    })
}

fn variant() -> impl Strategy<Value = Variant> {
    let times = any::<[u64; 5]>();
    let flags = any::<(bool, bool)>();
    let names = proptest::collection::vec(name(), 0..4);
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        any::<alloc::string::String>().prop_map(alloc::string::String::into_bytes),
    ];
    (times, flags, names, any::<[u8; 32]>(), 100_u16..1000, headers(), body).prop_map(
        |(times, (strict, validate), names, digest, status, headers, body)| {
            let [received_ms, initial_age_ms, fresh_ms, while_revalidate_ms, if_error_ms] = times;
            Variant {
                stamp: fresh_ms.rotate_left(7),
                life: Life {
                    received_ms,
                    initial_age_ms,
                    fresh_ms,
                    while_revalidate_ms,
                    if_error_ms,
                    strict,
                    validate,
                },
                selector: Selector { names, digest },
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: body.into(),
            }
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    proptest::collection::vec(variant(), 0..=MAX_VARIANTS).prop_map(|variants| Entry { variants })
}

proptest! {
    #[test]
    fn what_is_written_is_read(entry in entry()) {
        let bytes = entry.encode().unwrap();
        // Else it would not pass as it is over every transport.
        prop_assert!(core::str::from_utf8(&bytes).is_ok());
        prop_assert_eq!(Entry::decode(bytes), Some(entry));
    }

    #[test]
    fn made_up_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), known: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| known) {
            *first = b'2';
        }
        if let Some(entry) = Entry::decode(Bytes::from(bytes)) {
            prop_assert!(entry.variants.len() <= MAX_VARIANTS);
        }
    }

    #[test]
    fn resembling_bytes_do_no_harm(parts in proptest::collection::vec("[tbx](0000000[0-9a-f]|ffffffff|0000\\+00[0-9]){2}[A-Za-z0-9+/]{0,20}", 0..6)) {
        let _ = Entry::decode(Bytes::from(alloc::format!("2{}", parts.concat())));
    }

    #[test]
    fn damaged_bytes_do_no_harm(entry in entry(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut bytes = Vec::from(entry.encode().unwrap());
        let place = at.index(bytes.len());
        bytes[place] = to;
        bytes.truncate(cut.index(bytes.len()) + 1);
        // Ages and times of any size are judged, too.
        for variant in Entry::decode(Bytes::from(bytes)).unwrap_or_default().variants {
            let _ = (variant.over_ms(), variant.life.judge(u64::MAX, &Default::default()));
        }
    }
}

#[test]
fn a_version_that_is_not_ours_is_nothing() {
    let mut bytes = Vec::from(Entry::default().encode().unwrap());
    assert_eq!(bytes, b"3");
    bytes[0] = b'2';
    assert_eq!(Entry::decode(Bytes::from(bytes)), None);
}

#[test]
fn bodies_are_not_copied_when_read() {
    let variant = Variant {
        stamp: 0,
        life: Life::default(),
        selector: Selector::default(),
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from_static(&[7; 1000]),
    };
    let bytes = Entry { variants: alloc::vec![variant] }.encode().unwrap();
    let read = Entry::decode(bytes.clone()).unwrap();
    let body = &read.variants[0].body;
    assert!(bytes.as_ptr_range().contains(&body.as_ptr()));
}
