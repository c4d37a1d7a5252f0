//! Words out of JSON, and the place of what is wrong.

use proptest::prelude::*;

use super::*;

fn text(words: &Words) -> Vec<String> {
    words.iter().map(|word| String::from_utf8(word.to_vec()).expect("UTF-8")).collect()
}

#[test]
fn words_come_out_as_they_went_in() {
    let check = |json: &'static str, expected: &[&str]| {
        let words =
            one(&Bytes::from_static(json.as_bytes())).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(text(&words), expected, "{json}");
    };
    check("[]", &[]);
    check(r#" [ "GET" , "k" ] "#, &["GET", "k"]);
    check(
        r#"["a",1,-2.50,1e3,12345678901234567890,0]"#,
        &["a", "1", "-2.50", "1e3", "12345678901234567890", "0"],
    );
    check("[true,false,null]", &["true", "false", "null"]);
    check(r#"["\"\\\/\b\f\n\r\t"]"#, &["\"\\/\u{8}\u{c}\n\r\t"]);
    check(r#"["\u00e9\ud83d\ude00é😀"]"#, &["é😀é😀"]);
    check(
        r#"["\ud83d","\ud83dx","\ud83d\n","\ud83d\u0041","\ude00"]"#,
        &["\u{fffd}", "\u{fffd}x", "\u{fffd}\n", "\u{fffd}A", "\u{fffd}"],
    );
    check(r#"["","\u0000"]"#, &["", "\0"]);
}

#[test]
fn what_is_malformed_has_a_place() {
    let check = |json: &'static [u8], at: usize| {
        let error = one(&Bytes::from_static(json)).expect_err(&String::from_utf8_lossy(json));
        assert_eq!(error.at, at, "{}: {error}", String::from_utf8_lossy(json));
    };
    check(b"", 0);
    check(b"  ", 2);
    check(b"{}", 0);
    check(b"[", 1);
    check(b"[\"a\"", 4);
    check(b"[\"a\",]", 5);
    check(b"[\"a\" \"b\"]", 5);
    check(b"[\"a\"] x", 6);
    check(b"[\"a", 3);
    check(b"[[\"GET\"]]", 1);
    check(b"[{}]", 1);
    check(b"[\"a\nb\"]", 3);
    check(b"[\"a\xff\"]", 3);
    check(b"[\"\\x\"]", 3);
    check(b"[\"\\u12g4\"]", 6);
    check(b"[tru]", 1);
    check(b"[01]", 2);
    check(b"[-]", 2);
    check(b"[1.]", 3);
    check(b"[1e]", 3);
    check(b"[nul", 1);
}

#[test]
fn commands_come_in_rows() {
    let rows = many(&Bytes::from_static(br#"[["SET","a",1],[],["GET","a"]]"#)).expect("commands");
    assert_eq!(rows.iter().map(text).collect::<Vec<_>>(), [vec!["SET", "a", "1"], vec![], vec!["GET", "a"]]);
    assert_eq!(many(&Bytes::from_static(b"[]")), Ok(vec![]));
    assert_eq!(many(&Bytes::from_static(br#"["GET","a"]"#)).expect_err("one command").at, 1);
}

#[test]
fn a_body_of_nothing_but_words_is_refused() {
    let body = format!("[{}0]", "0,".repeat(MAX_WORDS));
    assert_eq!(one(&body.into()).expect_err("too many").what, "too many words in one request");
}

proptest! {
    #[test]
    fn strings_of_any_kind_come_through(words in proptest::collection::vec(any::<String>(), 0..8)) {
        let body = Bytes::from(serde_json::to_vec(&words).expect("JSON"));
        prop_assert_eq!(text(&one(&body).expect("words")), words);
    }

    #[test]
    fn agrees_with_another_parser_on_what_is_json(body in r#"\[("[a-z\\"u0-9]{0,6}"|[-0-9.eE]{0,5}|,| |true|nul){0,6}\]"#) {
        let ours = one(&Bytes::from(body.clone())).is_ok();
        let theirs = serde_json::from_str::<Vec<serde_json::Value>>(&body).is_ok();
        // Unpaired surrogates and numbers past a double's range are ours to take.
        prop_assert!(ours == theirs || (ours && (body.contains("\\ud") || body.contains(['e', 'E']))), "{}", body);
    }
}
