//! One request from its head to its response: begin, ask once, decide, then answer or forward.

use std::sync::Arc;

use acip_core::{
    Facts, Gateway, Refusal, RequestHead, Verdict,
    departure::duration_header,
    facts::Entropy,
    report::Subscription,
    store::Cells,
    verdict::{Refresh, Reply},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};

use crate::{
    account::{Account, Stage},
    begin,
    body::Body,
    command::command,
    forward::{Client, forward},
    homes,
    ports::{Ports, Visitor},
};

/// Serves one request. What waits for nothing is done at once, so that the future holds neither head nor facts: a
/// server moves it about for every request. Dropping the future means that the client left.
pub fn serve<P: Ports>(
    ports: &P,
    gateway: Arc<Gateway>,
    visitor: Visitor,
    request: Request<P::RequestBody>,
) -> impl Future<Output = Response<Body<P>>> + use<P> {
    let mut account = Account::open(ports.clone(), ports.mono_us());
    let facts = facts(ports, visitor, account.began_us);
    let (parts, body) = request.into_parts();
    let client = Client {
        method: parts.method.clone(),
        version: parts.version,
        body: Some(body),
        extensions: parts.extensions,
    };
    let head =
        RequestHead { method: parts.method, uri: parts.uri, version: parts.version, headers: parts.headers };
    let begun = begin::request(&mut account, gateway, head, facts);
    async move {
        let Some(verdict) = begin::verdict(&mut account, begun).await else {
            return Response::new(Body::broken());
        };
        conclude(account, verdict, client).await
    }
}

/// Answers a request that is not begun: its head was found to be unsafe before it could be read as one (then there is none),
/// or the platform cannot serve at all.
pub fn refuse<P: Ports>(
    ports: &P,
    gateway: &Gateway,
    visitor: Visitor,
    head: Option<RequestHead>,
    refusal: Refusal,
) -> Response<Body<P>> {
    let account = Account::open(ports.clone(), ports.mono_us());
    let facts = facts(ports, visitor, account.began_us);
    let head = head.unwrap_or_else(|| RequestHead {
        method: Method::GET,
        uri: http::Uri::default(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
    });
    let (method, version) = (head.method.clone(), head.version);
    match gateway.turn_away(head, facts, refusal) {
        Verdict::Reply(answer) => reply(account, answer, &method, version),
        // INVARIANT: `turn_away` only replies.
        _ => Response::new(Body::broken()),
    }
}

fn facts<P: Ports>(ports: &P, visitor: Visitor, mono_us: u64) -> Facts {
    let now_ms = ports.now_ms();
    Facts {
        now_ms,
        mono_us,
        entropy: ports.entropy().unwrap_or_else(|| guessable(mono_us)),
        peer: visitor.peer,
        hints: visitor.hints,
        origins: ports.board(|board| board.views(now_ms)),
        turn: ports.turn(),
        can_upgrade: ports.can_upgrade(),
        draining: ports.draining(),
        fleet: ports.fleet(),
        seen: ports.seen(),
    }
}

/// What tells requests apart where there is no chance: ids that anybody could guess, rather than no answers.
fn guessable(mono_us: u64) -> Entropy {
    let mut bytes = [0; 48];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&mono_us.to_le_bytes());
    }
    Entropy::from_bytes(bytes)
}

async fn conclude<P: Ports>(
    account: Box<Account<P>>,
    verdict: Verdict,
    client: Client<P>,
) -> Response<Body<P>> {
    match verdict {
        Verdict::Reply(answer) => reply(account, answer, &client.method, client.version),
        Verdict::Serve(serve) => {
            if let Some(refresh) = serve.refresh {
                refresh_behind(&account.ports, refresh, client.method.clone());
            }
            reply(account, serve.reply, &client.method, client.version)
        }
        Verdict::Report(report) => {
            let mut status = account.ports.status(&report).await;
            let told = report.listening().map(|listening| account.ports.listen(listening));
            status.subscription = match &told {
                Some(Ok(_)) => Subscription::Open,
                Some(Err(heard)) => *heard,
                None => Subscription::default(),
            };
            let response = reply(account, report.render(&status), &client.method, client.version);
            match told {
                Some(Ok(told)) => response.map(|body| body.telling(told)),
                _ => response,
            }
        }
        // Apart: what they keep across their waits would be moved with every request, and is most of it.
        Verdict::Command(task) => Box::pin(command(account, task, client)).await,
        Verdict::Forward(outgoing) => Box::pin(forward(account, outgoing, client)).await,
    }
}

/// Asks the origin once more for what the client was served from the cache, unless somebody else does; the hooks see
/// the answer, nobody else.
fn refresh_behind<P: Ports>(ports: &P, refresh: Refresh, method: Method) {
    let ports_of_task = ports.clone();
    ports.spawn(async move {
        let ports = ports_of_task;
        let Ok(cells) = homes::ask(&ports, refresh.claim()).await else { return };
        let Some(outgoing) = refresh.granted(Cells(&cells)) else { return };
        let account = Account::open(ports.clone(), ports.mono_us());
        let client =
            Client { method, version: Version::HTTP_11, body: None, extensions: http::Extensions::new() };
        forward(account, outgoing, client).await.into_body().drain().await;
    });
}

/// Sends a complete answer.
pub(crate) fn reply<P: Ports>(
    mut account: Box<Account<P>>,
    reply: Reply,
    method: &Method,
    version: Version,
) -> Response<Body<P>> {
    let Reply { answer, closing } = reply;
    account.enter(Stage::Closing(closing));
    let mut headers = answer.headers;
    stamp(&mut headers, account.elapsed_us());
    if answer.close && version <= Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let body = if method == Method::HEAD {
        if !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
        }
        Bytes::new()
    } else {
        answer.body
    };
    let mut response = Response::new(Body::whole(body, Some(account)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

/// Says how long it took until the head.
pub(crate) fn stamp(headers: &mut HeaderMap, elapsed_us: u64) {
    let (name, value) = duration_header(elapsed_us);
    headers.insert(name, value);
}
