//! One request from its arrival to its answer. Start at [`answer`]; what is asked of Redis is in `ask`.

use std::{convert::Infallible, rc::Rc, sync::atomic::Ordering::Relaxed};

use acip_core::store::Reply;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Bridge, ask,
    body::{self, Body},
    events,
    json::{self, Words},
    path::Target,
    problem::Problem,
    reply::{self, Encoding},
    tokens::Right,
};

/// Answers a request. Never fails: what goes wrong is an answer, too.
pub(super) async fn answer(
    bridge: Rc<Bridge>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answered = respond(&bridge, request).await;
    let outage = answered.as_ref().err().and_then(Problem::outage);
    if bridge.shared.up.swap(outage.is_none(), Relaxed) == outage.is_some() {
        match outage {
            Some(error) => tracing::warn!(error, "requests cannot be served"),
            None => tracing::info!("requests are served"),
        }
    }
    Ok(answered.unwrap_or_else(|problem| problem.response()))
}

async fn respond(bridge: &Bridge, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
    let (head, body) = request.into_parts();
    let target = Target::parse(head.uri.path(), head.uri.query());
    let Some(right) = bridge.shared.tokens.right(&head.headers, target.token.as_deref()) else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "WRONGPASS invalid or missing auth token"));
    };
    if ![Method::GET, Method::HEAD, Method::POST, Method::PUT].contains(&head.method) {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("ERR method {} is not supported; use GET, POST or PUT", head.method),
        ));
    }
    let limit = bridge.shared.max_body_bytes;
    let (body, _share) = body::read(&head.headers, body, limit, &bridge.shared.budget)
        .await
        .map_err(|unread| Problem::unread(unread, limit))?;
    let sends = head.method == Method::POST || head.method == Method::PUT;
    let encoding = encoding(&head.headers);
    let name = match target.segments.as_slice() {
        [] if sends => return one(bridge, right, encoding, json::one(&body)?).await,
        [] => {
            let hint = "ERR no command; send it as /{command}/{arguments}, or POST it as a JSON array";
            return Err(Problem::bad(hint));
        }
        [name, ..] => name.to_ascii_lowercase(),
    };
    match name.as_slice() {
        b"pipeline" | b"multi-exec" if target.segments.len() == 1 => {
            if !sends {
                let hint = "ERR POST an array of commands here";
                return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, hint));
            }
            let commands = json::many(&body)?;
            if commands.is_empty() {
                return Err(Problem::bad("ERR empty pipeline request; send at least one command"));
            }
            let replies = match name.as_slice() {
                b"pipeline" => ask::pipeline(bridge, right, commands).await?,
                _ => ask::transaction(bridge, right, commands).await?,
            };
            many(bridge, encoding, &replies)
        }
        b"subscribe" | b"psubscribe" | b"monitor" => events::open(bridge, right, target.segments).await,
        _ => {
            let mut words = target.segments;
            if sends && !body.is_empty() {
                words.push(body);
            }
            words.extend(target.parameters);
            one(bridge, right, encoding, words).await
        }
    }
}

fn encoding(headers: &HeaderMap) -> Encoding {
    let wanted = headers.get("upstash-encoding").map(HeaderValue::as_bytes);
    match wanted {
        Some(wanted) if wanted.eq_ignore_ascii_case(b"base64") => Encoding::Base64,
        _ => Encoding::Plain,
    }
}

/// The answer to one command.
async fn one(
    bridge: &Bridge,
    right: Right,
    encoding: Encoding,
    words: Words,
) -> Result<Response<Body>, Problem> {
    let reply = ask::single(bridge, right, words).await?;
    let mut out = Vec::with_capacity(SMALL_ANSWER);
    reply::object(&reply, encoding, &mut out);
    if out.len() > bridge.shared.max_reply_bytes {
        return Err(Problem::bad(too_large(bridge)));
    }
    let status = if matches!(reply, Reply::Error(_)) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    held(bridge, status, out)
}

/// An array of results, or of errors where one of them would be too large.
fn many(bridge: &Bridge, encoding: Encoding, replies: &[Reply]) -> Result<Response<Body>, Problem> {
    let mut out = Vec::with_capacity(SMALL_ANSWER);
    reply::row(replies.iter(), &mut out, |reply, out| {
        let start = out.len();
        reply::object(reply, encoding, out);
        if out.len() > bridge.shared.max_reply_bytes {
            out.truncate(start);
            reply::error(too_large(bridge).as_bytes(), out);
        }
    });
    held(bridge, StatusCode::OK, out)
}

fn too_large(bridge: &Bridge) -> String {
    let limit = bridge.shared.max_reply_bytes;
    format!("ERR the answer is longer than {limit} bytes; ask for less, or raise `--max-reply-bytes`")
}

/// An answer with its share of the memory, if it is large.
fn held(bridge: &Bridge, status: StatusCode, out: Vec<u8>) -> Result<Response<Body>, Problem> {
    if out.len() <= UNCOUNTED_BYTES {
        return Ok(Body::response(status, out, None));
    }
    match bridge.shared.budget.take(out.len()) {
        Some(share) => Ok(Body::response(status, out, Some(share))),
        None => Err(Problem::unavailable("ERR too many large answers at once; try again")),
    }
}

/// Room for a usual answer.
const SMALL_ANSWER: usize = 256;

/// Answers up to here are not counted: all connections together hold little of them.
const UNCOUNTED_BYTES: usize = 16 << 10;
