//! Sends spans to their collectors, behind everybody's back: over the same port as requests to origins, so that no platform
//! needs a client of its own for it.

use std::{cell::RefCell, pin::Pin, pin::pin, rc::Rc};

use acip_core::{
    OriginFailure,
    origins::OriginId,
    store::Batch,
    telemetry::{
        export::{Exporter, Post},
        span::Span,
    },
    verdict::Attempt,
};
use futures_util::future::{Either, select};
use http::Method;
use http_body::Body as _;

use crate::{
    instance::Instance,
    ports::{OriginRequest, Ports},
    upload::{Source, Upload},
};

/// Posts these spans to every collector.
///
/// # Errors
/// The first collector's that does not take them, in words without a secret.
pub async fn post<P: Ports>(ports: &P, exporter: &Exporter, spans: &[Span]) -> Result<(), String> {
    let mut failed = None;
    for post in exporter.posts(spans) {
        let place = post.uri.authority().map_or_else(String::new, ToString::to_string);
        let timer = ports.sleep(post.timeout_ms);
        let outcome = match select(pin!(one(ports, post)), timer).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err("it did not answer in time".to_owned()),
        };
        if let Err(reason) = outcome {
            failed.get_or_insert(format!("{place}: {reason}"));
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn one<P: Ports>(ports: &P, post: Post) -> Result<(), String> {
    let source = Rc::new(RefCell::new(Source::whole(post.body)));
    // No board hears of it: the number stands for no origin.
    let attempt = Attempt { origin: OriginId(usize::MAX), uri: post.uri };
    let request =
        OriginRequest { method: &Method::POST, headers: &post.headers, upgrade: false, may_retry: true };
    let response = ports.send(&attempt, request, Upload::new(&source)).await.map_err(|failure| {
        match failure.kind {
            OriginFailure::Denied => "the platform forbids it; allow connections to it",
            OriginFailure::Unreachable => "no connection",
            _ => "it broke off",
        }
        .to_owned()
    })?;
    let status = response.status();
    // A connection whose answer is read can be used again.
    let mut body = response.into_body();
    let mut left = MAX_ANSWER_BYTES;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Bytes::len));
        if left == 0 {
            break;
        }
    }
    if status.is_success() { Ok(()) } else { Err(format!("it answered {}", status.as_u16())) }
}

/// For [`Ports::export`] on builds that keep an [`Instance`]: sends a request's spans after its response. `say` writes to the
/// platform's log.
pub fn behind<P: Ports>(ports: &P, of: fn(&P) -> &Instance, say: fn(&str), spans: Vec<Span>) {
    let Some((exporter, batch)) = of(ports).collect(spans) else { return };
    let task_ports = ports.clone();
    ports.spawn(async move {
        let ports = task_ports;
        let failure = post(&ports, &exporter, &batch).await.err();
        if let Some(line) = of(&ports).exported(batch.len(), failure.as_deref(), ports.now_ms()) {
            say(&line);
        }
        // What came of it is for the fleet's page, and this instance may never be called again.
        of(&ports).write(&ports, Batch { now_ms: ports.now_ms(), ops: Vec::new() }).await;
    });
}

/// Collectors answer with little; what is longer is not read to its end.
const MAX_ANSWER_BYTES: usize = 64 << 10;
