//! A request to an origin: its body, its attempts, its response.

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    rc::Rc,
};

use acip_core::{
    Forward, OriginFailure, ResponseHead, Seal,
    outcome::End,
    trace::Origin,
    verdict::{Closing, RequestBody},
};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Extensions, Method, Response, StatusCode, Version};
use http_body::Body as _;

use crate::{
    account::{Account, Stage, tell},
    body::Body,
    capture::Capture,
    pieces::Pieces,
    ports::{Failure, OriginRequest, Ports, Shared},
    serve::{reply, stamp},
    upload::{Source, Upload},
};

/// What is left of the client's request once its head went to the core.
pub(crate) struct Client<P: Ports> {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) body: Option<P::RequestBody>,
    pub(crate) extensions: Extensions,
}

/// An attempt that was answered; when it went out and came back, unix ms.
struct Answered<B> {
    attempt: usize,
    response: Response<B>,
    sent_ms: u64,
    received_ms: u64,
}

pub(crate) async fn forward<P: Ports>(
    mut account: Box<Account<P>>,
    outgoing: Box<Forward>,
    mut client: Client<P>,
) -> Response<Body<P>> {
    let source = Source::new(client.body.take(), outgoing.max_body_bytes, outgoing.capture_request);
    let too_large = source.is_too_large();
    let source = Rc::new(RefCell::new(source));
    account.upload = Some(Rc::clone(&source));
    account.enter(Stage::Sending(outgoing));
    let answered = if too_large {
        Err(OriginFailure::BodyTooLarge)
    } else {
        match sign(&mut account, &source).await {
            Ok(()) => attempts(&mut account, &source, &client.method).await,
            Err(failure) => Err(failure),
        }
    };
    let Stage::Sending(outgoing) = account.leave() else { return Response::new(Body::broken()) };
    match answered {
        Err(failure) => {
            let now_ms = account.ports.now_ms();
            account.note(|| Origin::Failed { failure, now_ms });
            reply(account, outgoing.fail(failure), &client.method, client.version)
        }
        Ok(answered) => {
            let upgrade = outgoing.upgrade;
            let Answered { attempt, response, sent_ms, received_ms } = answered;
            let (parts, body) = response.into_parts();
            let head = ResponseHead { status: parts.status, headers: parts.headers };
            account.note(|| Origin::Answered { attempt, head: head.clone(), sent_ms, received_ms });
            let seal = outgoing.seal(attempt, head, sent_ms, received_ms);
            if upgrade && seal.head.status == StatusCode::SWITCHING_PROTOCOLS {
                tunnel(account, seal, client.extensions, parts.extensions)
            } else if seal.hold_until_written && seal.replace.is_none() {
                // Apart: what it keeps across its waits is most of what any request would have to keep.
                Box::pin(respond_once_written(account, seal, body)).await
            } else {
                respond(account, seal, body, &client.method)
            }
        }
    }
}

/// Holds the body and signs it, where the request is to be signed.
async fn sign<P: Ports>(
    account: &mut Account<P>,
    source: &Shared<Source<P::RequestBody>>,
) -> Result<(), OriginFailure> {
    let Stage::Sending(outgoing) = account.stage() else { return Ok(()) };
    let RequestBody::Buffer { max } = outgoing.body else { return Ok(()) };
    let holding = pin!(Source::hold(source, max));
    let held = in_time(&account.ports, source, outgoing.timeout_ms, holding).await;
    let held = held.unwrap_or(Err(OriginFailure::ClientBody))?;
    if let Stage::Sending(outgoing) = account.stage_mut() {
        match held {
            Some(all) => outgoing.sign(&all),
            None => outgoing.skip_signature(),
        }
    }
    Ok(())
}

/// Tries one origin after the other. Another one is tried only where it would get the very same request and, unless
/// the request may be repeated, none before it can have seen any of it.
async fn attempts<P: Ports>(
    account: &mut Account<P>,
    source: &Shared<Source<P::RequestBody>>,
    method: &Method,
) -> Result<Answered<P::OriginBody>, OriginFailure> {
    let mut index = 0;
    let mut reached = 0;
    let mut last = OriginFailure::Unreachable;
    if matches!(account.stage(), Stage::Sending(outgoing) if outgoing.may_retry) {
        source.borrow_mut().keep();
    }
    loop {
        let Stage::Sending(outgoing) = account.stage() else { return Err(last) };
        let Some(attempt) = outgoing.attempts.get(index) else { return Err(last) };
        let origin = attempt.origin;
        let (may_retry, max_reached) = (outgoing.may_retry, outgoing.max_reached);
        account.depart(origin, index);
        let sent_ms = account.ports.now_ms();
        match one(account, index, source, method).await {
            Ok(response) => {
                let received_ms = account.answered(response.status());
                return Ok(Answered { attempt: index, response, sent_ms, received_ms });
            }
            Err(failure) => {
                let mut source = source.borrow_mut();
                if let Some(by_client) = source.failure() {
                    account.failed(by_client, false);
                    return Err(by_client);
                }
                account.failed(failure.kind, failure.kind != OriginFailure::Denied);
                reached += usize::from(failure.sent);
                let spent = !may_retry || reached >= max_reached;
                if !source.is_whole() || (failure.sent && spent) {
                    return Err(failure.kind);
                }
                source.rewind();
                last = failure.kind;
                index += 1;
            }
        }
    }
}

/// One attempt, under the time limit for heads.
async fn one<P: Ports>(
    account: &Account<P>,
    index: usize,
    source: &Shared<Source<P::RequestBody>>,
    method: &Method,
) -> Result<Response<P::OriginBody>, Failure> {
    let lost = Failure { kind: OriginFailure::Unreachable, sent: false };
    let Stage::Sending(outgoing) = account.stage() else { return Err(lost) };
    let Some(attempt) = outgoing.attempts.get(index) else { return Err(lost) };
    let request = OriginRequest {
        method,
        headers: &outgoing.headers,
        upgrade: outgoing.upgrade,
        may_retry: outgoing.may_retry,
    };
    let sending = pin!(account.ports.send(attempt, request, Upload::new(source)));
    in_time(&account.ports, source, outgoing.timeout_ms, sending).await.unwrap_or_else(|| {
        source.borrow_mut().give_up();
        Err(Failure { kind: OriginFailure::Timeout, sent: true })
    })
}

/// Waits for what takes the client's body. A client that is still sending is given the time again as long as its body makes
/// progress; none when the time is over.
async fn in_time<P: Ports, T>(
    ports: &P,
    source: &Shared<Source<P::RequestBody>>,
    limit_ms: u64,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut seen = source.borrow().progress;
    loop {
        match select(work.as_mut(), ports.sleep(limit_ms)).await {
            Either::Left((done, _)) => return Some(done),
            Either::Right(_) => {
                let source = source.borrow();
                if source.has_ended() || source.progress == seen {
                    return None;
                }
                seen = source.progress;
            }
        }
    }
}

/// Sends the sealed head, and the body behind it.
fn respond<P: Ports>(
    mut account: Box<Account<P>>,
    seal: Seal,
    body: P::OriginBody,
    method: &Method,
) -> Response<Body<P>> {
    let Seal { mut head, replace, capture_response, idle_timeout_ms, closing, .. } = seal;
    account.enter(Stage::Closing(closing));
    account.capture = Capture::new(capture_response);
    stamp(&mut head.headers, account.elapsed_us());
    let body = if let Some(replace) = replace {
        drop(body);
        account.capture.push(&replace);
        let replace = if *method == Method::HEAD { Bytes::new() } else { replace };
        Body::whole(replace, Some(account))
    } else {
        Body::stream(Pieces::default(), body, idle_timeout_ms, account)
    };
    dress(head, body)
}

/// The same for a body that the client gets once the store was told what it says.
async fn respond_once_written<P: Ports>(
    mut account: Box<Account<P>>,
    seal: Seal,
    mut body: P::OriginBody,
) -> Response<Body<P>> {
    let Seal { mut head, capture_response, idle_timeout_ms, closing, .. } = seal;
    let (ports, began_us) = (account.ports.clone(), account.began_us);
    account.enter(Stage::Closing(closing));
    account.capture = Capture::new(capture_response);
    let body = match read_ahead(&mut account, &mut body, capture_response, idle_timeout_ms).await {
        Ahead::Whole(all) => {
            write_first(&mut account, &all).await;
            Body::whole(all, None)
        }
        Ahead::Longer(ahead) => {
            write_begun(&mut account, &ahead).await;
            Body::stream(ahead, body, idle_timeout_ms, account)
        }
        Ahead::Broken => {
            account.finish(End::OriginBroke);
            Body::broken()
        }
    };
    stamp(&mut head.headers, ports.mono_us().saturating_sub(began_us));
    dress(head, body)
}

fn dress<P: Ports>(head: ResponseHead, body: Body<P>) -> Response<Body<P>> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

enum Ahead {
    Whole(Bytes),
    Longer(Pieces),
    Broken,
}

/// Reads a body that is expected to be small.
async fn read_ahead<P: Ports>(
    account: &mut Account<P>,
    body: &mut P::OriginBody,
    max: usize,
    idle_ms: u64,
) -> Ahead {
    let mut ahead = Pieces::default();
    let began_us = account.ports.mono_us();
    loop {
        let frame = pin!(std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)));
        let frame = match select(frame, account.ports.sleep(idle_ms)).await {
            Either::Left((frame, _)) => frame,
            Either::Right(_) => return Ahead::Broken,
        };
        match frame {
            None => break,
            Some(Err(_)) => return Ahead::Broken,
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                ahead.push(data);
                if ahead.len() > max as u64 {
                    return Ahead::Longer(ahead);
                }
            }
        }
    }
    account.origin_us = account.origin_us.saturating_add(account.ports.mono_us().saturating_sub(began_us));
    Ahead::Whole(ahead.into_bytes())
}

/// Closes the accounts before the client hears of the answer, so that what it does next finds the store up to date.
async fn write_first<P: Ports>(account: &mut Account<P>, all: &Bytes) {
    account.response_bytes = all.len() as u64;
    account.capture.push(all);
    let Some(mut epilogue) = account.close(End::Complete) else { return };
    tell(&account.ports, &mut epilogue);
    if let Some(batch) = epilogue.batch.take() {
        account.tell_first(batch).await;
    }
}

/// The same for what a body says that is too long to be held; the accounts close when it has ended.
async fn write_begun<P: Ports>(account: &mut Account<P>, ahead: &Pieces) {
    let now_ms = account.ports.now_ms();
    let Stage::Closing(closing) = account.stage_mut() else { return };
    if let Some((begun, batch)) = closing.begun(&ahead.first(Closing::BEGUN_BYTES), now_ms) {
        account.begun = Some(begun);
        if !batch.is_empty() {
            account.tell_first(batch).await;
        }
    }
}

/// Answers 101 and joins the connections behind it; the accounts close with the tunnel.
fn tunnel<P: Ports>(
    mut account: Box<Account<P>>,
    seal: Seal,
    client: Extensions,
    origin: Extensions,
) -> Response<Body<P>> {
    let Seal { mut head, closing, .. } = seal;
    stamp(&mut head.headers, account.elapsed_us());
    account.enter(Stage::Closing(closing));
    let ports = account.ports.clone();
    let joined = ports.tunnel(client, origin);
    ports.spawn(async move {
        let bytes = joined.await;
        account.response_bytes = bytes.down;
        if let Some(upload) = &account.upload {
            upload.borrow_mut().bytes = bytes.up;
        }
        account.finish(if bytes.clean { End::Complete } else { End::OriginBroke });
    });
    dress(head, Body::whole(Bytes::new(), None))
}
