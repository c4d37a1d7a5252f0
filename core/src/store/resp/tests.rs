use alloc::{vec, vec::Vec};
use bytes::Bytes;
use proptest::prelude::*;

use super::{Decoder, Reply, RespError, RespLimits, encode, row};
use crate::store::{Cell, ServerError, StoreError};

fn limits() -> RespLimits {
    RespLimits { depth: 3, bulk: 64, line: 32, elements: 16 }
}

/// Everything the bytes decode to, whole and byte by byte: both must be the same.
fn decode(bytes: &[u8]) -> Vec<Result<Reply, RespError>> {
    let mut whole = Decoder::new(limits());
    whole.feed(bytes);
    let all: Vec<_> = core::iter::from_fn(|| whole.next()).collect();
    let mut slow = Decoder::new(limits());
    let mut pieces = Vec::new();
    for byte in bytes {
        slow.feed(&[*byte]);
        pieces.extend(core::iter::from_fn(|| slow.next()));
    }
    assert_eq!(std::format!("{all:?}"), std::format!("{pieces:?}"));
    all
}

fn bulk(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}

/// What the standard library reads, and nothing else.
fn check_number(text: &str) {
    let expected = text.parse().map(Reply::Int).map_err(|_| RespError::BadNumber);
    assert_eq!(decode(std::format!(":{text}\r\n").as_bytes()), vec![expected], "{text:?}");
}

#[test]
fn numbers_end_where_their_type_ends() {
    for text in ["", "+", "-", "0", "-0", "+7", "+-7", " 7", "7 ", "0x7", "١"] {
        check_number(text);
    }
    for number in [i128::from(i64::MIN), i128::from(i64::MAX)] {
        (number - 1..=number + 1).for_each(|number| check_number(&std::format!("{number}")));
    }
}

proptest! {
    #[test]
    fn numbers_are_read_as_elsewhere(text in "[+-]?[0-9]{0,21}") {
        check_number(&text);
    }
}

#[test]
fn replies_decode() {
    let check = |bytes: &str, expected: Vec<Reply>| {
        assert_eq!(decode(bytes.as_bytes()), expected.into_iter().map(Ok).collect::<Vec<_>>(), "{bytes:?}");
    };
    check("+OK\r\n:-7\r\n", vec![Reply::Status(Bytes::from_static(b"OK")), Reply::Int(-7)]);
    check("$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n", vec![bulk("a\r\n"), bulk(""), Reply::Nil]);
    check("*0\r\n*-1\r\n", vec![Reply::Array(vec![]), Reply::Nil]);
    check(
        "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
        vec![Reply::Array(vec![Reply::Array(vec![Reply::Int(1)]), bulk("x")])],
    );
    check("%1\r\n+a\r\n_\r\n", vec![Reply::Map(vec![(Reply::Status(Bytes::from_static(b"a")), Reply::Nil)])]);
    check("~1\r\n#t\r\n,1.5\r\n", vec![Reply::Array(vec![Reply::Bool(true)]), Reply::Double(1.5)]);
    check("=7\r\ntxt:abc\r\n(123\r\n", vec![bulk("abc"), Reply::BigNumber(Bytes::from_static(b"123"))]);
    check("!5\r\nERR x\r\n", vec![Reply::Error(Bytes::from_static(b"ERR x"))]);
    check(">1\r\n:1\r\n", vec![Reply::Push(vec![Reply::Int(1)])]);
    check("|1\r\n+k\r\n+v\r\n:5\r\n", vec![Reply::Int(5)]);
    check("*2\r\n:1\r\n|1\r\n+k\r\n+v\r\n:2\r\n", vec![Reply::Array(vec![Reply::Int(1), Reply::Int(2)])]);
    check("*1\r\n", vec![]);
}

#[test]
fn bad_bytes_are_typed_errors() {
    let check = |bytes: &str, error: RespError| {
        assert_eq!(decode(bytes.as_bytes()), vec![Err(error)], "{bytes:?}");
    };
    check("HTTP/1.1 400", RespError::UnknownType(b'H'));
    check(":1x\r\n", RespError::BadNumber);
    check("$-2\r\n", RespError::BadNumber);
    check("*99999999999999999999\r\n", RespError::BadNumber);
    check("#x\r\n", RespError::BadNumber);
    check("+OK\n", RespError::MissingLineEnd);
    check("$1\r\nabc\r\n", RespError::MissingLineEnd);
    check("$65\r\n", RespError::BulkTooLong);
    check("*17\r\n", RespError::TooManyElements);
    check("*8\r\n*9\r\n", RespError::TooManyElements);
    check("%9223372036854775807\r\n", RespError::TooManyElements);
    check("*1\r\n*1\r\n*1\r\n*1\r\n", RespError::TooDeep);
    check("+0123456789012345678901234567890123456789", RespError::LineTooLong);
}

#[test]
fn a_row_is_flat_and_of_the_asked_width() {
    let mut decoder = Decoder::default();
    decoder.feed(b"*3\r\n:1\r\n$-1\r\n$1\r\na\r\n-NOSCRIPT No matching script.\r\n*1\r\n*0\r\n*1\r\n:1\r\n");
    let mut rows = core::iter::from_fn(|| decoder.next()).map(|reply| row(reply.unwrap(), 3));
    let cells = vec![Cell::Int(1), Cell::Nil, Cell::Bytes(Bytes::from_static(b"a"))];
    assert_eq!(rows.next(), Some(Ok(cells)));
    let refused = rows.next().unwrap().unwrap_err();
    assert!(
        matches!(&refused, StoreError::Server { class: ServerError::NoScript, .. }) && refused.is_no_script()
    );
    assert_eq!(rows.next(), Some(Err(RespError::WrongWidth { expected: 3, got: 1 }.into())));
    assert_eq!(row(Reply::Array(vec![Reply::Array(vec![])]), 1), Err(RespError::NotARow.into()));
    assert_eq!(row(Reply::Nil, 0), Err(RespError::NotARow.into()));
}

#[test]
fn feeding_byte_by_byte_is_linear() {
    let mut text = std::vec![b'+'; 1];
    text.extend(core::iter::repeat_n(b'x', 4_000_000));
    text.extend_from_slice(b"\r\n");
    let mut decoder = Decoder::new(RespLimits { line: 8_000_000, ..RespLimits::default() });
    let mut replies = 0;
    for byte in &text {
        decoder.feed(&[*byte]);
        replies += usize::from(decoder.next().is_some());
    }
    // A decoder that looks at everything again for each byte would take hours here.
    assert_eq!(replies, 1);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode(&bytes);
    }

    #[test]
    fn resembling_bytes_do_not_either(parts in proptest::collection::vec("[-+:$*_#,(=!%~>|][0-9a-z-]{0,3}(\r\n)?", 0..40)) {
        decode(parts.concat().as_bytes());
    }

    #[test]
    fn commands_decode_to_themselves(args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..9)) {
        let mut out = Vec::new();
        encode(&args, &mut out);
        let expected = Reply::Array(args.into_iter().map(|arg| Reply::Bulk(arg.into())).collect());
        prop_assert_eq!(decode(&out), std::vec![Ok(expected)]);
    }
}
