//! The driver against scripted ports: whatever happens, the accounts close once and tell what happened.

mod asked;
mod command;
mod homes;
mod scripted;
mod slow;

use std::{
    net::Ipv4Addr,
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use acip_core::{
    Answer, Flow, Gateway, OriginFailure,
    config::{Document, Origin, OriginUrl},
    facts::{Hints, Peer},
    outcome::End,
    plugin::{Plan, Plugin, Ruling},
    store::{Ask, Batch, Home, Op, StoreError},
    verdict::Claim,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use scripted::{Chunks, Script, Scripted, Step, poll};

use crate::{Body, BodyError, Instance, Moment, Opened, Visitor, serve};

/// A plugin whose behaviour is in the path.
struct Probe;

impl Plugin for Probe {
    fn name(&self) -> &'static str {
        "probe-plugin"
    }
    fn priority(&self) -> i32 {
        0
    }
    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        let path = flow.request.head.uri.path().to_owned();
        flow.outgoing.capture_request = 8;
        flow.outgoing.capture_response = 8;
        if path.contains("hold") {
            flow.outgoing.hold_until_written = true;
        }
        if path.contains("begun") {
            flow.on_begun(Box::new(|_, begun| {
                let value = begun.clone();
                Some(Op::Set { key: "b".into(), value, ttl_ms: None, only_new: false })
            }));
        }
        if path.contains("write") {
            flow.on_finish(Box::new(|flow, outcome| {
                let value = outcome.response_body.clone().unwrap_or_default();
                flow.writes.push(Op::Set { key: "k".into(), value, ttl_ms: None, only_new: false });
            }));
        }
        if !path.contains("ask") {
            return Plan::Pass;
        }
        let _ = ask.get("k".into());
        let stale = path.contains("stale");
        Plan::Judge(Box::new(move |_, _| {
            if !stale {
                return Ruling::Pass;
            }
            let body = Bytes::from_static(b"old");
            let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body, close: false };
            Ruling::Serve { answer, refresh: Some(Claim { key: "claim".into(), home: Home::Store }) }
        }))
    }
}

fn gateway() -> Arc<Gateway> {
    gateway_with(|_| ())
}

fn gateway_with(change: impl FnOnce(&mut Document)) -> Arc<Gateway> {
    let origin = |port| Origin {
        name: format!("o{port}"),
        url: OriginUrl { tls: false, host: "127.0.0.1".into(), port, prefix: String::new() },
        region: None,
        weight: NonZeroU32::MIN,
    };
    let mut document = Document { origins: vec![origin(1), origin(2)], ..Document::default() };
    document.server.max_body_bytes = 100_000;
    change(&mut document);
    Arc::new(
        Gateway::with_plugins(document, vec![Arc::new(Probe), Arc::new(command::Commander)])
            .expect("compiles"),
    )
}

type Served = Pin<Box<dyn Future<Output = Response<Body<Scripted>>>>>;

fn begin(ports: &Scripted, method: &str, path: &str, chunks: &[&'static str]) -> Served {
    begin_with(gateway(), ports, method, path, chunks)
}

fn begin_with(
    gateway: Arc<Gateway>,
    ports: &Scripted,
    method: &str,
    path: &str,
    chunks: &[&'static str],
) -> Served {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a")
        .body(Chunks::new(ports, chunks))
        .expect("a request");
    let ports = ports.clone();
    let peer = Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false };
    let visitor = Visitor { peer, hints: Hints::default() };
    Box::pin(async move { serve(&ports, gateway, visitor, request).await })
}

fn head(served: &mut Served) -> Response<Body<Scripted>> {
    match poll(served) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("no head yet"),
    }
}

fn next(body: &mut Body<Scripted>) -> Poll<Option<Result<String, BodyError>>> {
    let mut frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    poll(&mut frame).map(|frame| {
        frame.map(|frame| {
            frame.map(|frame| String::from_utf8_lossy(&frame.into_data().unwrap_or_default()).into_owned())
        })
    })
}

fn rest(body: &mut Body<Scripted>) -> String {
    let mut all = String::new();
    while let Poll::Ready(Some(Ok(chunk))) = next(body) {
        all.push_str(&chunk);
    }
    all
}

/// The one record there must be.
fn end(ports: &Scripted) -> (u16, End) {
    let records = ports.0.records.borrow();
    assert_eq!(records.len(), 1, "closed exactly once");
    assert_eq!(ports.in_flight(), [0, 0], "nothing is left in flight");
    (records[0].status.as_u16(), records[0].outcome.end)
}

#[test]
fn a_bad_configuration_answers_everything_with_500_and_tells_the_client_nothing() {
    let moment = Moment { now_ms: 0, mono_us: 0 };
    let opened = Instance::open("spin", [("GATEWAY_THREADS".to_owned(), "secret".to_owned())], moment);
    let ports = Scripted::new(1, vec![]);
    for path in ["/gateway/livez", "/gateway/readyz", "/api/v1/jobs"] {
        let request = Request::get(path).body(Chunks::new(&ports, &[])).expect("a request");
        let peer = Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false };
        let mut served =
            pin!(opened.instance.serve(&ports, Visitor { peer, hints: Hints::default() }, request));
        let Poll::Ready(mut response) = poll(&mut served) else { panic!("no answer") };
        let body = rest(response.body_mut());
        assert_eq!(response.status(), 500, "{path}");
        assert!(body.contains("\"code\":\"INTERNAL_ERROR\"") && body.contains("requestId"), "{body}");
        assert!(!body.contains("secret") && !body.contains("GATEWAY_THREADS"), "{body}");
    }
}

const ANSWER: &[Step] = &[Step::Chunk("abc"), Step::Wait, Step::Chunk("def")];

#[test]
fn a_client_may_leave_at_any_step() {
    let ports = Scripted::new(2, vec![]);
    ports.0.store_hangs.set(true);
    let mut served = begin(&ports, "GET", "/ask", &[]);
    assert!(poll(&mut served).is_pending());
    drop(served);
    assert_eq!(end(&ports), (499, End::ClientLeft));

    let ports = Scripted::new(2, vec![Script::Hang]);
    let mut served = begin(&ports, "GET", "/", &[]);
    assert!(poll(&mut served).is_pending());
    assert_eq!(ports.in_flight().iter().sum::<u32>(), 1);
    drop(served);
    assert_eq!(end(&ports), (499, End::ClientLeft));

    let ports = Scripted::new(2, vec![Script::Answer(ANSWER.to_vec())]);
    let mut response = head(&mut begin(&ports, "GET", "/", &[]));
    assert_eq!(next(response.body_mut()), Poll::Ready(Some(Ok("abc".into()))));
    assert_eq!(next(response.body_mut()), Poll::Pending);
    drop(response);
    assert_eq!(end(&ports), (200, End::ClientLeft));
}

#[test]
fn a_whole_body_closes_the_accounts_with_what_was_captured() {
    let ports = Scripted::new(2, vec![Script::Answer(ANSWER.to_vec())]);
    ports.release();
    let mut response = head(&mut begin(&ports, "POST", "/", &["he", "llo"]));
    assert_eq!(rest(response.body_mut()), "abcdef");
    drop(response);
    assert_eq!(end(&ports), (200, End::Complete));
    let records = ports.0.records.borrow();
    let outcome = &records[0].outcome;
    assert_eq!(outcome.request_body.as_deref(), Some(&b"hello"[..]));
    assert_eq!(outcome.response_body.as_deref(), Some(&b"abcdef"[..]));
    assert_eq!((outcome.request_bytes, outcome.response_bytes), (5, 6));
}

#[test]
fn what_is_longer_than_asked_for_is_not_captured() {
    let ports = Scripted::new(2, vec![Script::Answer(vec![Step::Chunk("123456"), Step::Chunk("789")])]);
    let mut response = head(&mut begin(&ports, "POST", "/", &["123456", "789"]));
    assert_eq!(rest(response.body_mut()), "123456789");
    let records = ports.0.records.borrow();
    assert_eq!((&records[0].outcome.request_body, &records[0].outcome.response_body), (&None, &None));
}

#[test]
fn an_origin_that_breaks_or_goes_silent_breaks_the_body() {
    let ports = Scripted::new(2, vec![Script::Answer(vec![Step::Chunk("abc"), Step::Break])]);
    let mut response = head(&mut begin(&ports, "GET", "/", &[]));
    assert_eq!(next(response.body_mut()), Poll::Ready(Some(Ok("abc".into()))));
    assert_eq!(next(response.body_mut()), Poll::Ready(Some(Err(BodyError::OriginBroke))));
    drop(response);
    assert_eq!(end(&ports), (200, End::OriginBroke));

    let ports = Scripted::new(2, vec![Script::Answer(ANSWER.to_vec())]);
    let idle_ms = gateway().document().upstream.stream_idle_timeout_ms;
    let mut response = head(&mut begin(&ports, "GET", "/", &[]));
    assert!(next(response.body_mut()).is_ready());
    // The silence counts from the first time that nothing was there, not from the head.
    ports.advance_ms(idle_ms);
    assert_eq!(next(response.body_mut()), Poll::Pending);
    ports.advance_ms(idle_ms - 1);
    assert_eq!(next(response.body_mut()), Poll::Pending);
    ports.advance_ms(1);
    assert_eq!(next(response.body_mut()), Poll::Ready(Some(Err(BodyError::OriginSilent))));
    assert_eq!(end(&ports), (200, End::OriginBroke));
}

/// More than is kept for another attempt; two of them are more than a body may have.
fn large() -> &'static str {
    static LARGE: [u8; 70_000] = [b'x'; 70_000];
    std::str::from_utf8(&LARGE).expect("text")
}

/// `script` for `method`; then this status, after so many attempts.
fn check(method: &str, script: Vec<Script>, status: u16, failed: usize) {
    let left = script.len();
    let ports = Scripted::new(2, script);
    let mut response = head(&mut begin(&ports, method, "/", &["hello"]));
    let seen = response.status().as_u16();
    rest(response.body_mut());
    drop(response);
    assert_eq!(seen, status);
    assert_eq!(end(&ports).0, status);
    assert_eq!(ports.0.records.borrow()[0].outcome.failed.len(), failed, "failed attempts");
    assert_eq!(ports.0.script.borrow().len(), left.saturating_sub(failed + usize::from(status == 200)));
}

#[test]
fn another_origin_gets_only_what_the_first_cannot_have_seen() {
    let unreachable = || Script::Fail(OriginFailure::Unreachable, false);
    let broken = || Script::Fail(OriginFailure::Broken, true);
    let fine = || Script::Answer(vec![Step::Chunk("ok")]);
    check("POST", vec![unreachable(), fine()], 200, 1);
    check("POST", vec![unreachable(), unreachable()], 502, 2);
    check("POST", vec![broken(), fine()], 502, 1);
    check("PUT", vec![broken(), fine()], 200, 1);
    check("PUT", vec![Script::TakeAndFail, fine()], 200, 1);
    check("POST", vec![Script::TakeAndFail, fine()], 502, 1);
}

#[test]
fn a_repeated_body_is_the_whole_body_or_none() {
    let fine = || Script::Answer(vec![Step::Chunk("ok")]);
    for (chunks, status, uploads) in
        [(vec!["hel", "lo"], 200, vec!["hello"]), (vec![large(), "end"], 502, Vec::new())]
    {
        let ports = Scripted::new(2, vec![Script::TakeAndFail, fine()]);
        let mut response = head(&mut begin(&ports, "PUT", "/", &chunks));
        assert_eq!(response.status(), status);
        rest(response.body_mut());
        assert_eq!(*ports.0.uploads.borrow(), uploads);
    }
}

#[test]
fn a_body_past_the_limit_is_the_clients_fault() {
    let ports = Scripted::new(2, vec![Script::Answer(vec![])]);
    let response = head(&mut begin(&ports, "POST", "/", &[large(), large()]));
    assert_eq!(response.status(), 413);
    drop(response);
    assert!(ports.0.records.borrow()[0].outcome.failed.is_empty(), "no origin is blamed");
    assert!(ports.0.board.borrow().views(0).iter().all(|view| !view.ejected));
}

#[test]
fn no_head_in_time_is_504() {
    let ports = Scripted::new(2, vec![Script::Hang]);
    let mut served = begin(&ports, "POST", "/", &[]);
    assert!(poll(&mut served).is_pending());
    ports.advance_ms(gateway().document().upstream.timeout_ms);
    assert_eq!(head(&mut served).status(), 504);
}

#[test]
fn the_store_is_asked_once_and_told_afterwards() {
    let ports = Scripted::new(2, vec![Script::Answer(vec![Step::Chunk("abc")])]);
    let mut response = head(&mut begin(&ports, "GET", "/ask/write", &[]));
    assert_eq!(ports.0.asked.borrow().len(), 1);
    assert_eq!(rest(response.body_mut()), "abc");
    assert_eq!(ports.0.asked.borrow().len(), 1, "nobody waits for what is written");
    ports.run_tasks();
    assert_eq!(ports.0.asked.borrow().len(), 2);
}

#[test]
fn a_held_answer_comes_after_its_write() {
    for down in [false, true] {
        let ports = Scripted::new(2, vec![Script::Answer(ANSWER.to_vec())]);
        ports.0.store_down.set(down);
        let mut served = begin(&ports, "GET", "/hold/write", &[]);
        assert!(poll(&mut served).is_pending(), "the body is awaited");
        ports.release();
        let mut response = head(&mut served);
        let written =
            ports.0.asked.borrow().iter().any(
                |batch| matches!(batch.ops.as_slice(), [Op::Set { value, .. }] if &value[..] == b"abcdef"),
            );
        assert!(written, "the store was told first");
        assert_eq!(rest(response.body_mut()), "abcdef");
        drop(response);
        assert_eq!(end(&ports), (200, End::Complete));
    }
    // One that is too long to be held streams on.
    let steps = vec![Step::Chunk("0123456789"), Step::Wait, Step::Chunk("x")];
    let ports = Scripted::new(2, vec![Script::Answer(steps)]);
    let mut response = head(&mut begin(&ports, "GET", "/hold/write", &[]));
    assert_eq!(next(response.body_mut()), Poll::Ready(Some(Ok("0123456789".into()))));
    ports.release();
    assert_eq!(rest(response.body_mut()), "x");
    assert_eq!(end(&ports), (200, End::Complete));
}

#[test]
fn what_a_long_body_begins_with_is_written_before_any_of_it_is_released() {
    let steps = || vec![Step::Chunk("{\"a\":"), Step::Chunk("1,\"b\":2"), Step::Wait, Step::Chunk("}")];
    let written = |ports: &Scripted| {
        let asked = ports.0.asked.borrow();
        assert_eq!(asked.len(), 1);
        let value = Bytes::from_static(b"{\"a\":1}");
        assert_eq!(asked[0].ops, [Op::Set { key: "b".into(), value, ttl_ms: None, only_new: false }]);
    };
    let ports = Scripted::new(2, vec![Script::Answer(steps())]);
    ports.0.store_hangs.set(true);
    let mut serving = begin(&ports, "GET", "/hold/begun", &[]);
    assert!(poll(&mut serving).is_pending(), "the head waits for the store");
    written(&ports);
    let ports = Scripted::new(2, vec![Script::Answer(steps())]);
    let mut response = head(&mut begin(&ports, "GET", "/hold/begun", &[]));
    written(&ports);
    ports.release();
    assert_eq!(rest(response.body_mut()), "{\"a\":1,\"b\":2}");
    let outcome = &ports.0.records.borrow()[0].outcome;
    assert_eq!((&outcome.response_body, outcome.response_begun.as_deref()), (&None, Some(&b"{\"a\":1}"[..])));
}

#[test]
fn a_store_that_gave_no_answer_is_not_waited_for_again() {
    for (down, before_the_head) in [(false, 2), (true, 1)] {
        let ports = Scripted::new(2, vec![Script::Answer(vec![Step::Chunk("x")])]);
        ports.0.store_down.set(down);
        let mut response = head(&mut begin(&ports, "GET", "/ask/hold/write", &[]));
        assert_eq!(ports.0.asked.borrow().len(), before_the_head);
        assert_eq!(rest(response.body_mut()), "x");
        ports.run_tasks();
        assert_eq!(ports.0.asked.borrow().len(), 2, "it is told all the same");
    }
}

#[test]
fn a_stale_answer_is_refreshed_behind_the_clients_back() {
    let ports = Scripted::new(2, vec![Script::Answer(vec![Step::Chunk("new")])]);
    let mut response = head(&mut begin(&ports, "GET", "/ask/stale/write", &[]));
    assert_eq!(rest(response.body_mut()), "old");
    drop(response);
    assert_eq!(ports.0.records.borrow().len(), 1);
    ports.run_tasks();
    ports.run_tasks();
    let records = ports.0.records.borrow();
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].outcome.response_body.as_deref(), Some(&b"new"[..]));
}

#[test]
fn head_gets_the_length_and_no_body() {
    let ports = Scripted::new(2, vec![]);
    let response = head(&mut begin(&ports, "HEAD", "/../..", &[]));
    assert!(response.body().is_end_stream());
    assert_ne!(response.headers()["content-length"], "0");
    drop(response);
    assert_eq!(end(&ports).1, End::Complete);
}

/// The one way in which all builds without a process that lives send their spans.
#[test]
fn spans_go_out_after_the_response_and_a_collector_that_fails_costs_nothing() {
    let variables = [
        ("OTEL_ENABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("FASTAPI_URL", "http://127.0.0.1:1"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let opened = Instance::open("spin", variables, Moment { now_ms: 0, mono_us: 0 });
    let answer = || Script::Answer(vec![Step::Chunk("ok")]);
    let broken = Script::Fail(OriginFailure::Unreachable, false);
    let ports = Scripted::new(1, vec![answer(), answer(), answer(), broken]);
    assert!(ports.0.instance.set(opened.instance).is_ok());
    let instance = ports.0.instance.get().expect("just set");
    for exported in [true, false] {
        let sent = ports.0.uploads.borrow().len();
        let request = Request::get("/health").header("host", "a").body(Chunks::new(&ports, &[]));
        let peer = Peer { ip: Ipv4Addr::LOCALHOST.into(), tls: false };
        let visitor = Visitor { peer, hints: Hints::default() };
        let mut served = pin!(instance.serve(&ports, visitor, request.expect("a request")));
        let Poll::Ready(mut response) = poll(&mut served) else { panic!("no answer") };
        assert_eq!((response.status(), rest(response.body_mut()).as_str()), (StatusCode::OK, "ok"));
        assert_eq!(ports.0.uploads.borrow().len(), sent + 1, "the client waits for no collector");
        ports.run_tasks();
        assert_eq!(ports.0.uploads.borrow().len(), sent + 1 + usize::from(exported));
    }
    let uploads = ports.0.uploads.borrow();
    assert!(uploads[1].contains("resourceSpans") && uploads[1].contains("GET /health"), "{}", uploads[1]);
    let format = Some(acip_core::report::MetricsFormat::Prometheus);
    let page = instance.status(0, 0, format).metrics;
    let counts = |name: &str| page.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
    assert!(counts("gateway_spans_exported_total ") && counts("gateway_spans_dropped_total "), "{page}");
}

/// What no request's own counts can hold reaches the fleet with a later command, once.
#[test]
fn an_instance_tells_its_fleet_what_it_owes() {
    let variables = [("REDIS_URL".to_owned(), "redis://a".to_owned())];
    let Opened { instance, .. } = Instance::open("spin", variables, Moment { now_ms: 0, mono_us: 0 });
    let ports = Scripted::new(1, vec![]);
    // What one write adds to the fleet's counters.
    let written = || {
        ports.0.asked.borrow_mut().clear();
        let batch = Batch { now_ms: 0, ops: Vec::new() };
        assert!(poll(&mut pin!(instance.write(&ports, batch))).is_ready());
        let adds = |op: &Op| match op {
            Op::Tally { key, adds, .. } => {
                assert_eq!(key, "gateway:metrics:spin");
                adds.iter().map(|add| (add.field.clone(), add.by)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let asked = ports.0.asked.borrow();
        asked.iter().flat_map(|batch| batch.ops.iter().flat_map(adds)).collect::<Vec<_>>()
    };
    let owes = |adds: &[(&str, u64)]| -> Vec<_> {
        adds.iter().map(|(field, by)| ((*field).to_owned(), *by)).collect()
    };
    assert_eq!(written(), []);
    assert!(ports.0.asked.borrow().is_empty(), "no command for nothing");
    for _ in 0..3 {
        let _ = instance.asked("tcp", 1, Err(&StoreError::Timeout), 0);
    }
    let _ = instance.exported(7, None, 0);
    let _ = instance.exported(2, Some("no"), 0);
    ports.0.store_down.set(true);
    let all = owes(&[("e", 3), ("x|out", 7), ("x|lost", 2)]);
    assert_eq!(written(), all);
    ports.0.store_down.set(false);
    assert_eq!(written(), all, "the store did not take it");
    assert_eq!(written(), []);
    let _ = instance.exported(1, None, 0);
    assert_eq!(written(), owes(&[("x|out", 1)]));
}
