use alloc::{string::String, vec};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::store::ServerError;

#[test]
fn commands_become_json() {
    let check = |words: &[&[u8]], expected: Option<&str>| {
        let body = encode(words).ok().map(|body| String::from_utf8(body).expect("text"));
        assert_eq!(body.as_deref(), expected, "{words:?}");
    };
    check(&[], Some("[]"));
    check(&[b"GET", b"k"], Some(r#"["GET","k"]"#));
    check(&["SET", "a\"\\\n\0", "ü€"].map(str::as_bytes), Some(r#"["SET","a\"\\\n\u0000","ü€"]"#));
    check(&[b"SET", b"k", b"\xff"], None);
    let many = encode_many(&[vec!["GET", "a"], vec!["DEL", "b"]]).expect("text");
    assert_eq!(many, br#"[["GET","a"],["DEL","b"]]"#);
}

#[test]
fn answers_become_replies() {
    let bulk = |text: &'static str| Reply::Bulk(text.into());
    let check = |status, body: &str, expected: Result<Reply, StoreError>| {
        assert_eq!(decode(status, body.as_bytes()), expected, "{status} {body}");
    };
    check(200, r#"{"result":"OK"}"#, Ok(Reply::Status("OK".into())));
    check(200, r#"{"result":"T0s="}"#, Ok(bulk("OK")));
    check(200, r#"{"result":null}"#, Ok(Reply::Nil));
    check(200, r#"{"result":-3}"#, Ok(Reply::Int(-3)));
    check(200, r#"{"result":1.5}"#, Ok(Reply::Double(1.5)));
    check(200, r#"{"result":"/w=="}"#, Ok(Reply::Bulk(Bytes::from_static(b"\xff"))));
    check(
        200,
        r#"{"result":["aw==",1,null,["dg=="],{"error":"ERR x"}]}"#,
        Ok(Reply::Array(vec![
            bulk("k"),
            Reply::Int(1),
            Reply::Nil,
            Reply::Array(vec![bulk("v")]),
            Reply::Error("ERR x".into()),
        ])),
    );
    check(400, r#"{"error":"NOSCRIPT no"}"#, Ok(Reply::Error("NOSCRIPT no".into())));
    check(200, r#"{"result":"not base64"}"#, Err(RespError::BadBase64.into()));
    check(200, r#"{"result":{"a":1}}"#, Err(RespError::BadBase64.into()));
    check(200, r#"{"result":{"aw==":1}}"#, Ok(Reply::Map(vec![(bulk("k"), Reply::Int(1))])));
    check(200, r#"{"result":"\u0064g=="}"#, Ok(bulk("v")));
    check(200, r#"{"result":18446744073709551615}"#, Ok(Reply::BigNumber("18446744073709551615".into())));
    check(200, r#"{"result":1,"error":null,"more":[{}]}"#, Ok(Reply::Int(1)));
    check(200, r#"{"result":1} x"#, Err(RespError::BadJson.into()));
    check(200, r#"{}"#, Err(RespError::BadJson.into()));
    check(200, r#"[{"result":1}]"#, Err(RespError::BadJson.into()));
    let nested = format!(r#"{{"result":{}1{}}}"#, "[".repeat(4000), "]".repeat(4000));
    check(200, &nested, Err(RespError::BadJson.into()));
    let many = format!(r#"{{"result":[{}0]}}"#, "0,".repeat(1 << 20));
    check(200, &many, Err(RespError::TooManyElements.into()));
    check(200, "<html>", Err(RespError::BadJson.into()));
    let down = |text: &str| Err(StoreError::Down(text.into()));
    check(503, r#"{"error":"ERR busy"}"#, down("the REST endpoint answered 503: ERR busy"));
    check(429, "", down("the REST endpoint answered 429"));
    for status in [401, 403] {
        let refused = decode(status, br#"{"error":"Unauthorized"}"#);
        assert!(matches!(refused, Err(StoreError::Server { class: ServerError::NoAuth, .. })), "{refused:?}");
    }
}

#[test]
fn pipelines_have_a_reply_for_each_command() {
    let body = br#"[{"result":"OK"},{"error":"ERR x"},{"result":7}]"#;
    let replies = [Reply::Status("OK".into()), Reply::Error("ERR x".into()), Reply::Int(7)];
    assert_eq!(decode_many(200, body, 3).as_deref(), Ok(&replies[..]));
    assert!(matches!(decode_many(200, body, 2), Err(StoreError::Protocol(RespError::WrongWidth { .. }))));
    let discarded = decode_many(400, br#"{"error":"EXECABORT x"}"#, 3);
    assert!(matches!(discarded, Err(StoreError::Server { .. })), "{discarded:?}");
}

#[test]
fn the_token_is_not_shown() {
    let headers = headers(&Secret::new("t0ken")).expect("a field");
    assert_eq!(headers["authorization"], "Bearer t0ken");
    assert!(!format!("{headers:?}").contains("t0ken"));
    assert!(super::headers(&Secret::new("a\nb")).is_err());
}

#[test]
fn any_bytes_become_text_of_the_same_characters() {
    let all: Vec<u8> = (0..=255).collect();
    let text = String::from_utf8(text_of(&all)).expect("text");
    assert!(text.chars().map(u32::from).eq(0..=255));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode(status, &body), decode_many(status, &body, 2));
    }

    #[test]
    fn resembling_bytes_do_not_either(parts in proptest::collection::vec(r#"[\[\]{},:]|"(result|error|OK|YQ==|\\u00)"|-?[0-9]{1,3}|null|1e9"#, 0..30)) {
        let body = parts.concat();
        let _ = (decode(200, body.as_bytes()), decode_many(200, body.as_bytes(), 2));
    }

    #[test]
    fn words_are_read_as_they_were_written(words in proptest::collection::vec(any::<String>(), 0..6)) {
        let read: Vec<String> = serde_json::from_slice(&encode(&words).unwrap()).unwrap();
        prop_assert_eq!(read, words);
    }
}
