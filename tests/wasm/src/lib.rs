//! The core as wasm. [`decide`] drives it through every step of a request, so that nothing of it is dropped by the linker:
//! `cargo xtask test` builds this for `wasm32-unknown-unknown` and checks that the module imports nothing. [`replay`]
//! decides recorded requests, of which `replay.mjs` feeds it the lines, and `src/bin/replay.rs` does so under WASI.

pub mod replay;

use std::{net::Ipv4Addr, sync::Arc};

use acip_core::{
    Facts, Gateway, Outcome, RequestHead, ResponseHead, Status, Step, Verdict,
    config::Document,
    plugin::{Answers, Source},
    store::{Cells, Memory},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

/// Decides about one request that is made from `seed`; gives the status that goes out.
#[unsafe(no_mangle)]
pub extern "C" fn decide(seed: u32) -> u32 {
    let Ok(gateway) = Gateway::compile(Document::default()) else { return 0 };
    let gateway = Arc::new(gateway);
    let verdict = match gateway.begin(head(seed), facts(seed)) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            let row = Memory::default().apply(exchange.batch());
            exchange.decide(Answers { cells: Cells(&row), source: Source::Store })
        }
    };
    let (status, closing) = match verdict {
        Verdict::Reply(reply) => (reply.answer.status, reply.closing),
        Verdict::Serve(serve) => (serve.reply.answer.status, serve.reply.closing),
        Verdict::Report(report) => {
            let reply = report.render(&Status::default());
            (reply.answer.status, reply.closing)
        }
        Verdict::Command(task) => (StatusCode::ACCEPTED, task.abandon()),
        Verdict::Forward(forward) => {
            let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::new() };
            let seal = forward.seal(0, head, u64::from(seed), u64::from(seed));
            (seal.head.status, seal.closing)
        }
    };
    let epilogue = closing.finish(Outcome::default());
    u32::from(status.as_u16()).wrapping_add(u32::try_from(epilogue.events.len()).unwrap_or_default() << 16)
}

fn head(seed: u32) -> RequestHead {
    const PATHS: [&str; 6] = [
        "/api/v1/jobs",
        "/api/v1/queue/stats",
        "/api/v1/workers",
        "/gateway/health",
        "/api/v1/workers/a/heartbeat",
        "/health",
    ];
    let path = PATHS.get(seed as usize % PATHS.len()).copied().unwrap_or("/");
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("x-api-key", HeaderValue::from(seed));
    RequestHead {
        method: if seed.is_multiple_of(2) { Method::GET } else { Method::POST },
        uri: http::Uri::from_static(path),
        version: Version::HTTP_11,
        headers,
    }
}

fn facts(seed: u32) -> Facts {
    let moment = u64::from(seed);
    Facts { mono_us: moment, turn: moment, ..Facts::at(moment, Ipv4Addr::LOCALHOST.into()) }
}
