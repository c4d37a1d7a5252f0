use std::{cell::RefCell, collections::VecDeque};

use acip_core::store::Op;
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
    };
    check(row, &[false], &[false]);
    check((400, r#"{"error":"NOSCRIPT No matching script"}"#), &[false, true], &[false]);
    check((400, r#"{"error":"ERR unknown command 'EVALSHA'"}"#), &[false, true], &[true]);
    check((400, r#"{"error":"NOPERM no"}"#), &[false, true], &[true]);
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
