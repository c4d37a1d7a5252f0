//! A gateway with all its plugins, the embedded store and an origin that says what it is told to: cases send heads and
//! look at what comes back.

use alloc::{format, string::String, string::ToString, sync::Arc, vec::Vec};
use bytes::Bytes;
use core::net::IpAddr;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    Facts, Gateway, Outcome, ResponseHead, Step, Verdict,
    command::Progress,
    config::Document,
    event::Event,
    facts::Entropy,
    outcome::{Audit, Epilogue},
    plugin::{Answers, Source},
    plugins::fixture::{NOW_MS, facts, field, head},
    store::{Batch, Cells, Memory, MemoryLimits, Op},
};

/// Everything a request meets.
pub(crate) struct Lab {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) store: Memory,
    pub(crate) now_ms: u64,
    /// How long a request takes, as its outcome tells.
    pub(crate) takes_ms: u64,
    pub(crate) peer: IpAddr,
    /// Whose rows the judges see.
    pub(crate) source: Source,
    /// Whether the platform gives commands random bytes.
    pub(crate) has_chance: bool,
    requests: u64,
}

/// What the origin will say.
#[derive(Clone)]
pub(crate) struct Origin(pub(crate) u16, pub(crate) Value);

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the origin was asked.
    pub(crate) forwarded: bool,
    /// Whether the body was held until the writes were done.
    pub(crate) held: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) audit: Option<Audit>,
    /// Operations of the one batch before the verdict.
    pub(crate) asked: Vec<Op>,
    pub(crate) written: Vec<Op>,
}

impl Lab {
    pub(crate) fn new(document: Document) -> Self {
        Self {
            gateway: Arc::new(Gateway::compile(document).unwrap()),
            store: Memory::new(MemoryLimits::default()),
            now_ms: NOW_MS,
            takes_ms: 0,
            peer: IpAddr::from([192, 0, 2, 1]),
            source: Source::Store,
            has_chance: true,
            requests: 0,
        }
    }

    /// Another one for each request.
    fn chance(&self) -> Entropy {
        let mut bytes = [7; 48];
        for (place, byte) in bytes.iter_mut().zip(self.requests.to_be_bytes().into_iter().cycle()) {
            *place ^= byte;
        }
        Entropy::from_bytes(bytes)
    }

    /// Puts a hash into the store.
    pub(crate) fn put(&mut self, key: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let op = Op::SetHash { key: key.into(), fields, ttl_ms: None, only_new: false };
        self.store.apply(&Batch { now_ms: self.now_ms, ops: alloc::vec![op] });
    }

    /// Puts a string into the store.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let value = Bytes::copy_from_slice(value.as_bytes());
        let op = Op::Set { key: key.into(), value, ttl_ms: None, only_new: false };
        self.store.apply(&Batch { now_ms: self.now_ms, ops: alloc::vec![op] });
    }

    /// Reads a string from the store.
    pub(crate) fn get(&mut self, key: &str) -> Option<String> {
        let batch = Batch { now_ms: self.now_ms, ops: alloc::vec![Op::Get { key: key.into() }] };
        match self.store.apply(&batch).first() {
            Some(crate::store::Cell::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).ok(),
            _ => None,
        }
    }

    /// Sends a request to an origin that answers 200 `{}`.
    pub(crate) fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Seen {
        self.exchange(method, target, fields, "", Origin(200, serde_json::json!({})))
    }

    /// Sends a request with a body to an origin that answers so.
    pub(crate) fn exchange(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &str,
        origin: Origin,
    ) -> Seen {
        self.requests += 1;
        let mut facts = Facts { now_ms: self.now_ms, ..facts() };
        facts.peer.ip = self.peer;
        facts.entropy.request[8..].copy_from_slice(&self.requests.to_be_bytes());
        let mut asked = Vec::new();
        let verdict = match self.gateway.begin(head(method, target, fields), facts) {
            Step::Settled(verdict) => verdict,
            Step::Asking(exchange) => {
                asked.clone_from(&exchange.batch().ops);
                let cells = match self.source {
                    Source::Down => Vec::new(),
                    _ => self.store.apply(exchange.batch()),
                };
                exchange.decide(Answers { cells: Cells(&cells), source: self.source })
            }
        };
        let outcome = Outcome { now_ms: self.now_ms + self.takes_ms, ..Outcome::default() };
        let (seen, epilogue) = match verdict {
            Verdict::Reply(reply) => {
                let seen = Seen::new(reply.answer.status, reply.answer.headers, reply.answer.body);
                (seen, reply.closing.finish(outcome))
            }
            Verdict::Serve(serve) => {
                let answer = serve.reply.answer;
                let seen = Seen::new(answer.status, answer.headers, answer.body);
                (seen, serve.reply.closing.finish(outcome))
            }
            Verdict::Report(report) => {
                let page = format!("{:?}", report.page());
                let mut seen = Seen::new(StatusCode::OK, HeaderMap::new(), page.into());
                seen.asked = asked;
                return seen;
            }
            Verdict::Command(task) => {
                let chance = self.has_chance.then(|| self.chance());
                let mut progress = task.run(Bytes::copy_from_slice(body.as_bytes()), chance);
                let reply = loop {
                    match progress {
                        Progress::Done(reply, _) => break reply,
                        Progress::Asking(inquiry) => {
                            let cells = self.store.apply(inquiry.batch());
                            progress = inquiry.decide(Answers { cells: Cells(&cells), source: self.source });
                        }
                    }
                };
                let answer = reply.answer;
                let seen = Seen::new(answer.status, answer.headers, answer.body);
                (seen, reply.closing.finish(outcome))
            }
            Verdict::Forward(forward) => {
                let Origin(code, said) = origin;
                let sent = Bytes::copy_from_slice(body.as_bytes());
                let request_body = (sent.len() <= forward.capture_request).then_some(sent);
                let status = StatusCode::from_u16(code).unwrap();
                let text = Bytes::from(said.to_string());
                let answer = ResponseHead { status, headers: HeaderMap::new() };
                let mut seal = forward.seal(0, answer, self.now_ms, self.now_ms);
                let response_body = (text.len() <= seal.capture_response).then(|| text.clone());
                let mut response_begun = None;
                if seal.hold_until_written
                    && response_body.is_none()
                    && let Some((begun, batch)) = seal.closing.begun(&text, self.now_ms)
                {
                    self.store.apply(&batch);
                    response_begun = Some(begun);
                }
                let mut seen = Seen::new(seal.head.status, seal.head.headers, seal.replace.unwrap_or(text));
                (seen.forwarded, seen.held) = (true, seal.hold_until_written);
                let outcome = Outcome { request_body, response_body, response_begun, ..outcome };
                (seen, seal.closing.finish(outcome))
            }
        };
        self.close(Seen { asked, ..seen }, epilogue)
    }

    fn close(&mut self, mut seen: Seen, epilogue: Epilogue) -> Seen {
        seen.events = epilogue.events;
        seen.audit = epilogue.record.audit;
        if let Some(batch) = epilogue.batch {
            self.store.apply(&batch);
            seen.written = batch.ops;
        }
        seen
    }
}

impl Seen {
    fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status: status.as_u16(),
            headers,
            body,
            forwarded: false,
            held: false,
            events: Vec::new(),
            audit: None,
            asked: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Status and whether the origin was asked.
    pub(crate) fn brief(&self) -> (u16, bool) {
        (self.status, self.forwarded)
    }

    /// A response field.
    pub(crate) fn field(&self, name: &str) -> String {
        field(&self.headers, name)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Names of the events.
    pub(crate) fn event_names(&self) -> Vec<&'static str> {
        self.events.iter().map(Event::name).collect()
    }
}
