use alloc::{string::String, sync::Arc, vec, vec::Vec};
use bytes::Bytes;
use http::StatusCode;

use super::{line::Line, *};
use crate::{
    Gateway, Step,
    config::{CacheBackend, Document, Format, Platform, Source as File},
    plugins::fixture::{facts, head},
    store::Memory,
};

const SECRETS: [&str; 6] =
    ["alice-key-01", "admin-token-03", "sign-secret-77", "salt-of-ours", "token-in-a-body", "query-secret-5"];

fn gateway() -> Arc<Gateway> {
    let text = r#"
        [auth]
        api_keys = ["alice:alice-key-01"]
        admin_token = "admin-token-03"
        token_salt = "salt-of-ours"
        [upstream]
        signing_secret = "sign-secret-77"
        [[routes]]
        path = "/kept"
        cache = { mode = "per-credential", ttl_seconds = 60 }
    "#;
    let file = File { name: "test", text, format: Format::Toml };
    let document = Document::read(Some(file), [], Platform::Native).unwrap();
    Arc::new(Gateway::compile(document).unwrap())
}

/// Serves a request as a shell does, and records it.
fn record(
    gateway: &Arc<Gateway>,
    store: &mut Memory,
    (method, target, fields): (&str, &str, &[(&str, &str)]),
    (status, said, body): (u16, &[(&str, &str)], &'static str),
) -> (Recording, u16) {
    let (head, facts) = (head(method, target, fields), facts());
    let mut recording = Recording {
        head: head.clone(),
        facts: facts.clone(),
        row: None,
        origin: Origin::Silent,
        outcome: Outcome::default(),
    };
    let verdict = match gateway.begin(head, facts) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            let cells = store.apply(exchange.batch());
            recording.row = Some((Source::Store, cells.clone()));
            let cells = crate::store::Cells(&cells);
            exchange.decide(crate::plugin::Answers { cells, source: Source::Store })
        }
    };
    let now_ms = recording.facts.now_ms;
    recording.outcome.now_ms = now_ms;
    let (status, closing) = match verdict {
        crate::Verdict::Reply(reply) => (reply.answer.status, reply.closing),
        crate::Verdict::Serve(serve) => (serve.reply.answer.status, serve.reply.closing),
        crate::Verdict::Report(_) | crate::Verdict::Command(_) => panic!("a page"),
        crate::Verdict::Forward(forward) => {
            let headers = crate::plugins::fixture::head("GET", "/", said).headers;
            let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
            recording.origin =
                Origin::Answered { attempt: 0, head: head.clone(), sent_ms: now_ms, received_ms: now_ms };
            let seal = forward.seal(0, head, now_ms, now_ms);
            if seal.capture_response > 0 {
                recording.outcome.response_body = Some(Bytes::from_static(body.as_bytes()));
            }
            (seal.head.status, seal.closing)
        }
    };
    if let Some(batch) = closing.finish(recording.outcome.clone()).batch {
        store.apply(&batch);
    }
    (recording, status.as_u16())
}

#[test]
fn what_was_recorded_is_decided_again_without_a_secret() {
    decided_again(&gateway());
}

/// The row of a recording says what there was, wherever it was.
#[test]
fn what_the_process_kept_is_decided_again_without_a_secret() {
    let mut document = gateway().document().clone();
    document.cache.backend = CacheBackend::Memory;
    decided_again(&Arc::new(Gateway::compile(document).unwrap()));
}

fn decided_again(gateway: &Arc<Gateway>) {
    let concealed = Concealed::new(gateway, Pseudonyms::new([7; 32])).unwrap();
    let mut store = Memory::default();
    let key: &[(&str, &str)] = &[("x-api-key", "alice-key-01"), ("cookie", "session=token-in-a-body")];
    let ok: (u16, &[(&str, &str)], &'static str) = (200, &[("content-type", "application/json")], "{}");
    let varied: (u16, &[(&str, &str)], &'static str) = (200, &[("vary", "accept, cookie")], "kept");
    let token = r#"{"worker_id":"w1","token":"token-in-a-body"}"#;
    let told: (u16, &[(&str, &str)], &'static str) = (201, &[("content-length", "44")], token);
    let cases = [
        ("GET", "/api/v1/models?api_key=query-secret-5&a=b", key, ok, 200),
        ("GET", "/api/v1/models", &[], ok, 401),
        ("GET", "/api/v1/models", &[("authorization", "Bearer alice-key-01")], ok, 200),
        ("GET", "/api/v1/models", &[("authorization", "Bearer alice-key-01 alice-key-01")], ok, 400),
        (
            "GET",
            "/api/v1/models",
            &[("x-api-key", "alice-key-01"), ("x-worker-token", "query-secret-5")],
            ok,
            400,
        ),
        ("GET", "/admin", &[("authorization", "bearer admin-token-03")], ok, 200),
        ("GET", "/kept", key, varied, 200),
        ("GET", "/kept", key, varied, 200),
        ("POST", "/api/v1/workers/register", &[], told, 201),
        ("GET", "/api/v1/workers/w1/next-job", &[("x-worker-token", "token-in-a-body")], ok, 200),
        ("GET", "/api/v1/workers/w1/next-job", &[("x-worker-token", "query-secret-5")], ok, 401),
    ];
    let mut lines: Vec<String> = vec![concealed.document().write()];
    let mut hits = 0;
    for (method, target, fields, origin, expected) in cases {
        let (recording, status) = record(gateway, &mut store, (method, target, fields), origin);
        assert_eq!(status, expected, "{method} {target}");
        lines.push(concealed.conceal(recording).write());
    }
    let mut replayer = Replayer::default();
    for (line, expected) in lines.iter().zip(core::iter::once(None).chain(cases.map(|case| Some(case.4)))) {
        for secret in SECRETS {
            assert!(!line.contains(secret), "`{secret}` stands in {line}");
        }
        assert_eq!(
            Line::read(line).unwrap().write(),
            *line,
            "a line that is read is the line that was written"
        );
        let told = replayer.line(line).unwrap();
        let status = told.as_ref().map(|told| told.epilogue.record.status.as_u16());
        assert_eq!(status, expected, "{line}");
        hits += u32::from(told.is_some_and(|told| told.transcript.contains("CacheHit")));
    }
    assert_eq!(hits, 1, "the stored answer of `/kept` varies by a secret and is found under its pseudonym");
    assert_eq!(replayer.requests(), 11);
    assert_ne!(replayer.digest(), Replayer::default().digest());
}

#[test]
fn a_decision_that_differs_is_an_error() {
    let gateway = gateway();
    let concealed = Concealed::new(&gateway, Pseudonyms::new([7; 32])).unwrap();
    let asked = ("GET", "/api/v1/models", &[][..]);
    let (recording, _) = record(&gateway, &mut Memory::default(), asked, (200, &[], ""));
    let line = concealed.conceal(recording).write();
    let mut replayer = Replayer::default();
    assert!(matches!(replayer.line(&line), Err(ReplayError::Unknown(_))));
    replayer.line(&concealed.document().write()).unwrap();
    assert!(replayer.line(&line).is_ok());
    let changed = line.replace("/api/v1/models", "/health");
    assert!(matches!(replayer.line(&changed), Err(ReplayError::Differs { .. })));
    for broken in ["", "{}", "[1]", &line.replace("\"1.1\"", "\"7\""), &line.replace("GET", "G T")] {
        assert!(matches!(replayer.line(broken), Err(ReplayError::Line(_))), "{broken}");
    }
    assert_eq!(replayer.requests(), 2);
}

#[test]
fn pseudonyms_differ_from_process_to_process() {
    let gateway = gateway();
    let document = |key| Concealed::new(&gateway, Pseudonyms::new([key; 32])).unwrap().document().write();
    assert_eq!(document(1), document(1));
    assert_ne!(document(1), document(2));
}
