//! One request through all steps of the core: any head, any row of the store, any answer of the origin.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use acip_core::{
    Epilogue, Facts, Forward, Gateway, OriginFailure, Outcome, RequestHead, ResponseHead, Status, Step,
    Verdict,
    command::{BodyFault, Progress, Task},
    config::{Document, Format, Platform, Source as File},
    facts::{Entropy, Hints, Peer},
    origins::OriginView,
    outcome::End,
    plugin::{Answers, Source},
    store::{Batch, Cell, Cells, Memory},
    verdict::{Closing, Reply},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::choices::Choices;

/// Three bytes choose the document, the version and the moment; then comes the head as text (`GET /path`, a field a
/// line, an empty line); the rest are choices: cells of the row, the origin's answer, the end.
pub fn begin_decide(input: &[u8]) {
    let first = transcript(input);
    // The core is a function of its arguments.
    assert_eq!(first, transcript(input));
}

/// All that was decided, as text; nothing where the bytes hold no head that a server would read.
fn transcript(input: &[u8]) -> Option<String> {
    let mut choices = Choices::new(input);
    let gateways = gateways();
    let gateway = &gateways[usize::from(choices.byte()) % gateways.len()];
    let version = choices.of(&[Version::HTTP_11, Version::HTTP_2, Version::HTTP_10]);
    let moment = choices.byte();
    let head = head(&choices.paragraph(), version)?;
    let mut memory = Memory::default();
    let verdict = match gateway.begin(head, facts(gateway, moment)) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            let batch = exchange.batch();
            assert!(!batch.is_empty(), "asks nothing");
            let source = choices.of(&[Source::Store, Source::Fallback, Source::Down]);
            let row = row(&mut choices, batch, &mut memory, source);
            exchange.decide(Answers { cells: Cells(&row), source })
        }
    };
    let (told, closing) = close(&mut choices, verdict);
    let epilogue = closing.finish(outcome(&mut choices));
    if let Some(batch) = &epilogue.batch {
        assert!(!batch.is_empty(), "an empty command");
        memory.apply(batch);
    }
    let Epilogue { batch, events, record, spans } = epilogue;
    Some(format!("{told} {batch:?} {events:?} {spans:?} {:?} {:?}", record.status, record.refused))
}

/// What the store might say: what an empty one says, or anything of the right width.
fn row(choices: &mut Choices<'_>, batch: &Batch, memory: &mut Memory, source: Source) -> Vec<Cell> {
    let width = batch.width();
    let model = memory.apply(batch);
    assert_eq!(model.len(), width, "the model's row has another width");
    if source == Source::Down {
        return vec![Cell::Nil; width];
    }
    let cells = model.into_iter().map(|cell| match choices.byte() % 4 {
        0 => cell,
        1 => Cell::Nil,
        2 => Cell::Int(choices.number()),
        _ => Cell::Bytes(choices.bytes()),
    });
    cells.collect()
}

fn close(choices: &mut Choices<'_>, verdict: Verdict) -> (String, Closing) {
    let reply = match verdict {
        Verdict::Reply(reply) => reply,
        Verdict::Serve(serve) => {
            if let Some(refresh) = serve.refresh.and_then(|refresh| refresh.granted(Cells(&[]))) {
                forwards(&refresh);
                refresh.abandon().finish(Outcome::default());
            }
            serve.reply
        }
        Verdict::Report(report) => report.render(&Status::default()),
        Verdict::Command(task) => commanded(choices, task),
        Verdict::Forward(forward) => return forwarded(choices, forward),
    };
    sound(&reply.answer.headers);
    (format!("{:?}", reply.answer), reply.closing)
}

/// A store that starts empty for each command, and sometimes is down.
fn commanded(choices: &mut Choices<'_>, task: Task) -> Reply {
    let mut progress = match choices.byte() % 8 {
        0 => return task.fail(BodyFault::TooLarge),
        1 => return task.fail(BodyFault::Broken),
        _ => {
            let body = choices.bytes();
            task.run(body, Some(Entropy::default()))
        }
    };
    let mut memory = Memory::default();
    loop {
        let inquiry = match progress {
            Progress::Done(reply, _) => return reply,
            Progress::Asking(inquiry) => inquiry,
        };
        let row = memory.apply(inquiry.batch());
        let source = if choices.byte().is_multiple_of(8) { Source::Down } else { Source::Store };
        progress = inquiry.decide(Answers { cells: Cells(&row), source });
    }
}

fn forwarded(choices: &mut Choices<'_>, mut forward: Box<Forward>) -> (String, Closing) {
    forwards(&forward);
    match choices.byte() % 8 {
        0 => return ("left".into(), forward.abandon()),
        1 => {
            let failure = choices.of(&[
                OriginFailure::Unreachable,
                OriginFailure::Denied,
                OriginFailure::Broken,
                OriginFailure::Timeout,
                OriginFailure::BodyTooLarge,
                OriginFailure::ClientBody,
            ]);
            let reply = forward.fail(failure);
            sound(&reply.answer.headers);
            return (format!("{:?}", reply.answer), reply.closing);
        }
        2 => forward.skip_signature(),
        _ => forward.sign(&choices.bytes()),
    }
    let sent = format!("{:?} {:?}", forward.attempts, forward.headers);
    let status = 100 + u16::from(choices.byte()) * 2;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = fields(&choices.paragraph());
    let attempt = usize::from(choices.byte());
    let seal = forward.seal(attempt, ResponseHead { status, headers }, NOW_MS, NOW_MS + 5);
    if seal.head.status != StatusCode::SWITCHING_PROTOCOLS {
        sound(&seal.head.headers);
    }
    (format!("{sent} {:?} {:?} {}", seal.head, seal.replace, seal.capture_response), seal.closing)
}

/// What holds for every request that goes to an origin.
fn forwards(forward: &Forward) {
    assert!(!forward.attempts.is_empty(), "forwarded to nobody");
    assert_eq!(forward.headers.get_all("x-request-id").iter().count(), 1);
    assert!(forward.headers.contains_key("via"));
    for name in ["keep-alive", "proxy-connection", "transfer-encoding", "proxy-authorization"] {
        assert!(!forward.headers.contains_key(name), "`{name}` goes to the origin");
    }
    assert!(forward.upgrade || !forward.headers.contains_key("connection"));
}

/// What holds for every answer to a client.
fn sound(headers: &HeaderMap) {
    assert_eq!(headers.get_all("x-request-id").iter().count(), 1);
    for name in ["keep-alive", "proxy-connection", "transfer-encoding"] {
        assert!(!headers.contains_key(name), "`{name}` goes to the client");
    }
    let any = headers.get("access-control-allow-origin").is_some_and(|origin| origin == "*");
    assert!(!any || !headers.contains_key("access-control-allow-credentials"), "credentials for anybody");
}

fn outcome(choices: &mut Choices<'_>) -> Outcome {
    let end = choices.of(&[End::Complete, End::ClientLeft, End::OriginBroke]);
    let mut body = || choices.byte().is_multiple_of(2).then(|| choices.bytes());
    let (request_body, response_body) = (body(), body());
    Outcome { now_ms: NOW_MS + 7, end, request_body, response_body, ..Outcome::default() }
}

fn head(lines: &[&[u8]], version: Version) -> Option<RequestHead> {
    let (first, rest) = lines.split_first()?;
    let mut words = first.splitn(2, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let uri = http::Uri::try_from(words.next()?).ok()?;
    Some(RequestHead { method, uri, version, headers: fields(rest) })
}

/// The lines that are fields; a server's parser refuses others.
fn fields(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            headers.append(name, value);
        }
    }
    headers
}

fn facts(gateway: &Gateway, moment: u8) -> Facts {
    let view = OriginView {
        in_flight: u32::from(moment),
        ewma_us: 1000,
        ejected: moment.is_multiple_of(5),
        failing: moment.is_multiple_of(5),
    };
    Facts {
        now_ms: NOW_MS,
        mono_us: 5_000_000,
        entropy: Entropy {
            request: [moment; 16],
            trace: [2; 16],
            span: [3; 8],
            draw: u64::from(moment) << 56,
        },
        peer: Peer { ip: IpAddr::from([127, 0, 0, moment % 3]), tls: moment.is_multiple_of(2) },
        hints: Hints::default(),
        origins: vec![view; gateway.document().origins.len()],
        turn: u64::from(moment),
        can_upgrade: !moment.is_multiple_of(3),
        draining: moment.is_multiple_of(7),
        seen: None,
        fleet: moment.is_multiple_of(11).then_some("spin"),
    }
}

/// Compiled once: it is requests that are probed here.
fn gateways() -> &'static [Arc<Gateway>] {
    static GATEWAYS: OnceLock<Vec<Arc<Gateway>>> = OnceLock::new();
    GATEWAYS.get_or_init(|| DOCUMENTS.iter().map(|text| compile(text)).collect())
}

fn compile(text: &str) -> Arc<Gateway> {
    let file = File { name: "probe", text, format: Format::Toml };
    let document = Document::read(Some(file), [], Platform::Native).expect("the probe's document");
    Arc::new(Gateway::compile(document).expect("the probe's gateway"))
}

/// 2026-01-01T00:00:00Z.
const NOW_MS: u64 = 1_767_225_600_000;

/// As it ships; with most things set; and with much switched off.
const DOCUMENTS: [&str; 3] = [
    "",
    r#"
[server]
trusted_proxies = ["127.0.0.0/8"]
[auth]
api_keys = ["k1", "alice:k2"]
admin_token = "root"
[upstream]
signing_secret = "s3cret"
[cors]
origins = ["http://e"]
[[origins]]
url = "http://127.0.0.1:8000"
region = "us-west"
[[origins]]
url = "http://127.0.0.1:8001/prefix"
region = "eu-west"
"#,
    "[auth]\nenabled = false\n[rate_limit]\nenabled = false\n[cache]\nenabled = false\n",
];
