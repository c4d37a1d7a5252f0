//! A gateway with a cache, a store, a clock, and an origin that says what a case tells it to.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    Gateway, Outcome, Step, Verdict,
    config::{Document, RouteCache, RouteRule},
    event::Event,
    flow::Flow,
    outcome::{CacheStatus, End},
    plugin::{Answers, Plan, Plugin, Source},
    plugins::{
        cache::Cache,
        fixture::{self, NOW_MS, field},
    },
    store::{Ask, Cell, Cells, Memory, Op},
    verdict::{Closing, Forward, OriginFailure, ResponseHead},
};

/// What the origin does.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Status, fields, body.
    Says(u16, Vec<(&'static str, String)>, String),
    /// The same, but the body does not arrive whole.
    Breaks(End, Vec<(&'static str, String)>),
    Fails(OriginFailure),
    /// Must not be asked.
    Silent,
}

/// 200 with these fields.
pub(super) fn ok(fields: &[(&'static str, &str)], body: &str) -> Origin {
    says(200, fields, body)
}

pub(super) fn says(status: u16, fields: &[(&'static str, &str)], body: &str) -> Origin {
    Origin::Says(status, owned(fields), body.into())
}

pub(super) fn owned(fields: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    fields.iter().map(|(name, value)| (*name, value.to_string())).collect()
}

/// Two equal requests; whether the second is answered from the store.
pub(super) fn reused(path: &str, request: &[(&str, &str)], first: Origin) -> bool {
    let mut sim = Sim::new();
    sim.get(path, request, first);
    let seen = sim.get(path, request, ok(&[], "second"));
    seen.asked.is_none()
}

/// What the client and the origin saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) cache: Option<CacheStatus>,
    /// What the origin was sent, if it was asked; also behind the client's back.
    pub(super) asked: Option<HeaderMap>,
    pub(super) behind: bool,
    pub(super) events: Vec<&'static str>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> String {
        field(&self.headers, name)
    }

    pub(super) fn sent(&self, name: &str) -> String {
        self.asked.as_ref().map(|headers| field(headers, name)).unwrap_or_default()
    }

    /// `HIT body`, `MISS body`, …; `-` where the cache was not asked.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.cache.map_or("-", CacheStatus::as_str), self.body)
    }
}

/// Stands for the part of the gateway that hashes credentials.
struct Credential;

impl Plugin for Credential {
    fn name(&self) -> &'static str {
        "credential-plugin"
    }

    fn priority(&self) -> i32 {
        200
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        if let Some(key) = flow.request.head.headers.get("x-api-key") {
            flow.request.presented.stored = format!("hash of {}", key.to_str().unwrap());
        }
        Plan::Pass
    }
}

pub(super) struct Sim {
    gateway: Arc<Gateway>,
    pub(super) memory: Memory,
    pub(super) now_ms: u64,
    pub(super) source: Source,
    /// Ms that the origin takes.
    pub(super) delay_ms: u64,
    /// What the store was told after the last request.
    pub(super) writes: Vec<Op>,
    pub(super) keys: Vec<String>,
}

impl Sim {
    /// All of `/own/*` per credential, `/all/*` shared, both with 60 s where the origin says nothing; the
    /// rest as it ships.
    pub(super) fn new() -> Self {
        Self::with(fixture::document())
    }

    pub(super) fn with(mut document: Document) -> Self {
        let rule = |path: &str, cache| RouteRule {
            path: path.into(),
            auth: None,
            cache: Some(cache),
            ..RouteRule::default()
        };
        document.routes.extend([
            rule("/own/*", RouteCache::PerCredential { ttl_seconds: Some(60), heuristic: false }),
            rule("/all/*", RouteCache::Shared { ttl_seconds: Some(60), heuristic: false }),
        ]);
        let cache = Arc::new(Cache::new(&document).unwrap());
        let gateway = Gateway::with_plugins(document, vec![cache, Arc::new(Credential)]).unwrap();
        Self {
            gateway: Arc::new(gateway),
            memory: Memory::default(),
            now_ms: NOW_MS,
            source: Source::Store,
            delay_ms: 0,
            writes: Vec::new(),
            keys: Vec::new(),
        }
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.now_ms += seconds * 1000;
    }

    /// The moment as an HTTP date, `seconds` from now.
    pub(super) fn date(&self, seconds: i64) -> String {
        let ms = self.now_ms.checked_add_signed(seconds * 1000).unwrap();
        super::super::dates::value(ms).unwrap().to_str().unwrap().to_string()
    }

    pub(super) fn get(&mut self, target: &str, fields: &[(&str, &str)], origin: Origin) -> Seen {
        self.send("GET", target, fields, origin)
    }

    pub(super) fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        origin: Origin,
    ) -> Seen {
        let mut facts = fixture::facts();
        facts.now_ms = self.now_ms;
        self.writes.clear();
        self.keys.clear();
        let verdict = match self.gateway.begin(fixture::head(method, target, fields), facts) {
            Step::Settled(verdict) => verdict,
            Step::Asking(exchange) => {
                for op in &exchange.batch().ops {
                    match op {
                        Op::Get { key } => self.keys.push(key.clone()),
                        Op::Hash { .. } => {}
                        op => panic!("the cache only reads: {op:?}"),
                    }
                }
                let cells = match self.source {
                    Source::Down => vec![Cell::Nil; exchange.batch().width()],
                    _ => self.memory.apply(exchange.batch()),
                };
                exchange.decide(Answers { cells: Cells(&cells), source: self.source })
            }
        };
        match verdict {
            Verdict::Reply(reply) => self.reply(reply.answer, reply.closing),
            Verdict::Serve(serve) => {
                let mut seen = self.reply(serve.reply.answer, serve.reply.closing);
                let granted = serve.refresh.and_then(|refresh| {
                    let cells = self.memory.apply(refresh.claim());
                    refresh.granted(Cells(&cells))
                });
                if let Some(refresh) = granted {
                    let behind = self.forward(refresh, origin);
                    (seen.asked, seen.behind) = (behind.asked, true);
                    seen.events.extend(behind.events);
                }
                seen
            }
            Verdict::Forward(forward) => self.forward(forward, origin),
            Verdict::Report(_) | Verdict::Command(_) => panic!("a page"),
        }
    }

    fn reply(&mut self, answer: crate::Answer, closing: Closing) -> Seen {
        let epilogue = self.finish(closing, Outcome::default());
        Seen {
            status: answer.status.as_u16(),
            headers: answer.headers,
            body: String::from_utf8(answer.body.to_vec()).unwrap(),
            cache: epilogue.0,
            events: epilogue.1,
            ..Seen::default()
        }
    }

    fn forward(&mut self, forward: Box<Forward>, origin: Origin) -> Seen {
        let asked = Some(forward.headers.clone());
        let (end, status, fields, body) = match origin {
            Origin::Silent => panic!("the origin was asked: {:?}", forward.headers),
            Origin::Fails(failure) => {
                let reply = forward.fail(failure);
                let seen = self.reply(reply.answer, reply.closing);
                return Seen { asked, ..seen };
            }
            Origin::Says(status, fields, body) => (End::Complete, status, fields, body),
            Origin::Breaks(end, fields) => (end, 200, fields, "part".into()),
        };
        let sent_ms = self.now_ms;
        self.now_ms += self.delay_ms;
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
        let seal = forward.seal(0, head, sent_ms, self.now_ms);
        let captured = seal.replace.is_none() && end == End::Complete && body.len() <= seal.capture_response;
        let outcome =
            Outcome { end, response_body: captured.then(|| Bytes::from(body.clone())), ..Outcome::default() };
        let shown = seal.replace.unwrap_or(Bytes::from(body));
        let (cache, events) = self.finish(seal.closing, outcome);
        Seen {
            status: seal.head.status.as_u16(),
            headers: seal.head.headers,
            body: String::from_utf8(shown.to_vec()).unwrap(),
            cache,
            asked,
            behind: false,
            events,
        }
    }

    fn finish(&mut self, closing: Closing, mut outcome: Outcome) -> (Option<CacheStatus>, Vec<&'static str>) {
        outcome.now_ms = self.now_ms;
        let epilogue = closing.finish(outcome);
        if let Some(batch) = &epilogue.batch {
            assert!(self.memory.apply(batch).is_empty());
            self.writes.extend(batch.ops.clone());
        }
        let cache = |event: &&Event| event.name().starts_with("gateway:cache:");
        let names = epilogue.events.iter().filter(cache).map(Event::name);
        (epilogue.record.cache, names.collect())
    }
}

#[test]
fn it_is_active_unless_switched_off() {
    for enabled in [true, false] {
        let mut document = fixture::document();
        document.cache.enabled = enabled;
        let gateway = Gateway::compile(document).unwrap();
        assert_eq!(gateway.plugins().any(|plugin| plugin.name() == "cache-plugin"), enabled);
    }
    let plugin: Box<dyn Plugin> = Box::new(Cache::new(&fixture::document()).unwrap());
    assert_eq!((plugin.priority(), plugin.dependencies().len()), (80, 0));
}
