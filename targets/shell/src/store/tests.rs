use std::{cell::RefCell, collections::VecDeque};

use acip_core::{
    config::{Document, StoreSettings, StoreUrl},
    store::Op,
};
use futures_util::FutureExt as _;

use super::*;

/// Answers what it is told to, and keeps what was posted.
struct Told {
    answers: RefCell<VecDeque<(u16, &'static str)>>,
    posted: RefCell<Vec<(String, String)>>,
}

impl Fetch for Told {
    async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> {
        assert_eq!(headers["authorization"], "Bearer t0ken");
        self.posted.borrow_mut().push((path.to_owned(), String::from_utf8(body).expect("text")));
        let (status, body) = self.answers.borrow_mut().pop_front().ok_or(StoreError::Timeout)?;
        Ok((status, body.into()))
    }
}

impl Endpoint for Told {
    fn new(_: String, _: u64) -> Self {
        Self { answers: RefCell::default(), posted: RefCell::default() }
    }
}

fn told(answers: &[(u16, &'static str)]) -> RestStore<Told> {
    let fetch = Told { answers: RefCell::new(answers.iter().copied().collect()), posted: RefCell::default() };
    RestStore::new(fetch, &Secret::new("t0ken")).expect("a token")
}

fn done<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("waits for nothing")
}

#[test]
fn the_script_is_sent_whole_only_where_it_is_not_known() {
    let batch = Batch { now_ms: 1, ops: vec![Op::Get { key: "k".into() }] };
    let row = (200, r#"{"result":["dg=="]}"#);
    let check = |first: (u16, &'static str), whole: &[bool], then: &[bool]| {
        let store = told(&[first, row, row]);
        let cells = Ok(vec![StoreCell::Bytes("v".into())]);
        let forms = || -> Vec<bool> {
            let posted = store.fetch().posted.take();
            posted.iter().map(|(_, body)| body.starts_with("[\"EVAL\",")).collect()
        };
        assert_eq!(done(store.ask(&batch)), cells, "{first:?}");
        assert_eq!(forms(), whole, "{first:?}");
        assert_eq!(done(store.ask(&batch)), cells, "{first:?}");
        assert_eq!(forms(), then, "{first:?}");
        assert_eq!(store.round_trips(), u64::try_from(whole.len() + then.len()).unwrap(), "{first:?}");
    };
    check(row, &[false], &[false]);
    check((400, r#"{"error":"NOSCRIPT No matching script"}"#), &[false, true], &[false]);
    check((400, r#"{"error":"ERR unknown command 'EVALSHA'"}"#), &[false, true], &[true]);
    check((400, r#"{"error":"NOPERM no"}"#), &[false, true], &[true]);
}

#[test]
fn a_hosts_own_words_for_a_missing_script_are_known() {
    let batch = Batch { now_ms: 1, ops: vec![Op::Get { key: "k".into() }] };
    let check = |said: &'static str, expected: &[Form]| {
        let (caller, sent) = (Caller::new(), RefCell::new(Vec::new()));
        let asked = caller.ask(&batch, async |_, form| {
            sent.borrow_mut().push(form);
            match form {
                Form::Name => Err(StoreError::from_server(said.as_bytes())),
                Form::Whole => Ok(Reply::Array(vec![Reply::Nil])),
            }
        });
        assert_eq!(done(asked).is_ok(), expected.len() == 2, "{said}");
        assert_eq!(*sent.borrow(), expected, "{said}");
    };
    check("NOSCRIPT: No matching script", &[Form::Name, Form::Whole]);
    check("An error was signalled by the server - NoScriptError: No", &[Form::Name, Form::Whole]);
    check(
        "An error was signalled by the server - ResponseError: unknown command",
        &[Form::Name, Form::Whole],
    );
    check("OOM command not allowed", &[Form::Name]);
}

#[test]
fn a_server_is_remembered_only_if_it_takes_the_whole_script() {
    let batch = Batch { now_ms: 1, ops: vec![Op::Get { key: "k".into() }] };
    let refusal = (400, r#"{"error":"ERR unknown command 'EVALSHA'"}"#);
    let store = told(&[refusal, (400, r#"{"error":"LOADING"}"#), (200, r#"{"result":[null]}"#)]);
    assert!(done(store.ask(&batch)).is_err());
    assert_eq!(done(store.ask(&batch)), Ok(vec![StoreCell::Nil]));
    assert!(store.fetch().posted.borrow()[2].1.starts_with("[\"EVALSHA\","));
}

#[test]
fn a_timer_ends_the_wait() {
    let never = std::future::pending::<Result<(), StoreError>>();
    assert_eq!(done(within(std::future::ready(()), never)), Err(StoreError::Timeout));
    assert_eq!(done(within(std::future::ready(()), std::future::ready(Ok(5)))), Ok(5));
}

#[test]
fn nothing_that_may_have_been_counted_is_sent_again() {
    let batch = Batch { now_ms: 1, ops: vec![Op::Get { key: "k".into() }] };
    for first in [
        (503, ""),
        (401, ""),
        (200, "nonsense"),
        (400, r#"{"error":"ERR wrong"}"#),
        (200, r#"{"result":[]}"#),
    ] {
        let store = told(&[first, (200, r#"{"result":["dg=="]}"#)]);
        assert!(done(store.ask(&batch)).is_err(), "{first:?}");
        assert_eq!(store.fetch().posted.borrow().len(), 1, "{first:?}");
    }
}

#[test]
fn commands_go_together() {
    let store = told(&[(200, r#"[{"result":"OK"},{"result":1}]"#)]);
    let replies = done(store.commands(&[vec!["SET", "a", "b"], vec!["DEL", "a"]]));
    assert_eq!(replies, Ok(vec![Reply::Status("OK".into()), Reply::Int(1)]));
    let posted = store.fetch().posted.take();
    assert_eq!(posted, [("/pipeline".to_owned(), r#"[["SET","a","b"],["DEL","a"]]"#.to_owned())]);
}

/// RFC 3986 §3.1, and what the configuration takes for one.
#[test]
fn an_endpoint_is_one_however_its_scheme_is_written() {
    for url in ["https://a", "HTTPS://a", "Http://a/b/"] {
        let url = Some(StoreUrl::parse(url).expect("a URL"));
        let rest_token = Some(Secret::new("t0ken"));
        let settings = StoreSettings { url, rest_token, ..Document::default().store };
        assert!(matches!(Reach::<Told, NoServer>::open(&settings), Reach::Rest(_)), "{settings:?}");
    }
}
