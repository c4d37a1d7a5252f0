//! One request from its arrival to its answer. Start at [`answer`].

use std::{convert::Infallible, rc::Rc, sync::Arc, sync::atomic::Ordering::Relaxed};

use acip_core::store::{Reply, StoreError};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{
    Bridge,
    body::{self, Body, Unread},
    events,
    json::{self, Words},
    path::Target,
    policy::Ruling,
    reply::{self, Encoding},
    tokens::Right,
};
use crate::store::{Apart, StoreClient};

/// A request that is not answered with a result.
pub(super) struct Problem {
    status: StatusCode,
    error: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    /// Redis's own error, or one that stands for it.
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    fn response(&self) -> Response<Body> {
        let mut out = Vec::with_capacity(self.error.len() + 16);
        reply::error(self.error.as_bytes(), &mut out);
        let mut response = whole(self.status, out, None);
        let (name, value) = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, "GET, HEAD, POST, PUT"),
            // Something of the body may still be on its way.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => (header::CONNECTION, "close"),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "1"),
            _ => return response,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Server { message, .. } => Self::bad(message),
            error => Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("ERR {error}")),
        }
    }
}

impl From<json::Malformed> for Problem {
    fn from(error: json::Malformed) -> Self {
        Self::bad(error.to_string())
    }
}

/// Answers a request. Never fails: what goes wrong is an answer, too.
pub(super) async fn answer(
    bridge: Rc<Bridge>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answered = respond(&bridge, request).await;
    let unavailable = matches!(&answered, Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE);
    if bridge.shared.up.swap(!unavailable, Relaxed) == unavailable {
        match &answered {
            Err(problem) if unavailable => tracing::warn!(error = problem.error, "requests cannot be served"),
            _ => tracing::info!("requests are served"),
        }
    }
    Ok(answered.unwrap_or_else(|problem| problem.response()))
}

async fn respond(bridge: &Rc<Bridge>, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
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
        .map_err(|unread| unread_problem(unread, limit))?;
    let sends = head.method == Method::POST || head.method == Method::PUT;
    let encoding = encoding(&head.headers);
    let name = match target.segments.as_slice() {
        [] if sends => return single(bridge, right, encoding, json::one(&body)?).await,
        [] => {
            return Err(Problem::bad(
                "ERR no command; send it as /{command}/{arguments}, or POST it as a JSON array",
            ));
        }
        [name, ..] => name.to_ascii_lowercase(),
    };
    match name.as_slice() {
        b"pipeline" | b"multi-exec" if target.segments.len() == 1 => {
            if !sends {
                return Err(Problem::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "ERR POST an array of commands here",
                ));
            }
            let commands = json::many(&body)?;
            if commands.is_empty() {
                return Err(Problem::bad("ERR empty pipeline request; send at least one command"));
            }
            match name.as_slice() {
                b"pipeline" => pipeline(bridge, right, encoding, commands).await,
                _ => transaction(bridge, right, encoding, commands).await,
            }
        }
        b"subscribe" | b"psubscribe" | b"monitor" => events::open(bridge, right, target.segments).await,
        _ => {
            let mut words = target.segments;
            if sends && !body.is_empty() {
                words.push(body);
            }
            words.extend(target.parameters);
            single(bridge, right, encoding, words).await
        }
    }
}

fn unread_problem(unread: Unread, limit: usize) -> Problem {
    match unread {
        Unread::TooLong => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "ERR the request's body is longer than {limit} bytes; send less, or raise `--max-body-bytes`"
            ),
        ),
        Unread::NoMemory => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ERR too many large requests at once; try again")
        }
        Unread::TooSlow => Problem::new(StatusCode::REQUEST_TIMEOUT, "ERR the request's body stopped coming"),
        Unread::Broken => Problem::bad("ERR the request's body broke off"),
    }
}

fn encoding(headers: &HeaderMap) -> Encoding {
    let wanted = headers.get("upstash-encoding").map(HeaderValue::as_bytes);
    if wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(b"base64")) {
        Encoding::Base64
    } else {
        Encoding::Plain
    }
}

async fn single(
    bridge: &Bridge,
    right: Right,
    encoding: Encoding,
    mut words: Words,
) -> Result<Response<Body>, Problem> {
    let apart = judge(bridge, right, &mut words).await?.map_err(Problem::bad)?;
    let reply = match apart {
        true => send_apart(bridge, &[words]).await?.pop(),
        false => bridge.store.commands(&[words]).await?.pop(),
    };
    let reply = reply.ok_or_else(|| Problem::from(StoreError::Down("no answer".into())))?;
    let mut out = Vec::with_capacity(128);
    reply::object(&reply, encoding, &mut out);
    if out.len() > bridge.shared.max_reply_bytes {
        return Err(Problem::bad(too_large(bridge)));
    }
    let status = if matches!(reply, Reply::Error(_)) { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    answered(bridge, status, out)
}

/// All commands in one write; each has its own result or error.
async fn pipeline(
    bridge: &Bridge,
    right: Right,
    encoding: Encoding,
    commands: Vec<Words>,
) -> Result<Response<Body>, Problem> {
    let (mut sent, mut refused, mut apart) =
        (Vec::with_capacity(commands.len()), Vec::with_capacity(commands.len()), false);
    for mut words in commands {
        match judge(bridge, right, &mut words).await? {
            Ok(blocks) => {
                apart |= blocks;
                sent.push(words);
                refused.push(None);
            }
            Err(error) => refused.push(Some(Reply::Error(error.into()))),
        }
    }
    let replies = if apart { send_apart(bridge, &sent).await? } else { bridge.store.commands(&sent).await? };
    let mut replies = replies.into_iter();
    let all = refused.into_iter().map(|refused| refused.or_else(|| replies.next()).unwrap_or(Reply::Nil));
    results(bridge, encoding, all)
}

/// All commands in one write between `MULTI` and `EXEC`: on a shared connection, too, nothing comes in between.
async fn transaction(
    bridge: &Bridge,
    right: Right,
    encoding: Encoding,
    commands: Vec<Words>,
) -> Result<Response<Body>, Problem> {
    if matches!(bridge.store, StoreClient::Cluster(_)) {
        return Err(Problem::bad(
            "ERR no transactions on a cluster; use a script whose keys share a hash tag",
        ));
    }
    let mut sent = Vec::with_capacity(commands.len() + 2);
    sent.push(vec![Bytes::from_static(b"MULTI")]);
    for (index, mut words) in commands.into_iter().enumerate() {
        // Within a transaction nothing blocks.
        if let Err(error) = judge(bridge, right, &mut words).await? {
            return Err(discarded(index, &error));
        }
        sent.push(words);
    }
    sent.push(vec![Bytes::from_static(b"EXEC")]);
    let mut replies = bridge.store.commands(&sent).await?;
    match replies.pop() {
        Some(Reply::Array(items)) => results(bridge, encoding, items.into_iter()),
        Some(Reply::Error(line)) => {
            let queued = replies.iter().skip(1).enumerate();
            let first = queued.filter_map(|(index, reply)| match reply {
                Reply::Error(line) => Some((index, String::from_utf8_lossy(line).into_owned())),
                _ => None,
            });
            match first.into_iter().next() {
                Some((index, error)) => Err(discarded(index, &error)),
                None => Err(Problem::bad(String::from_utf8_lossy(&line))),
            }
        }
        _ => Err(StoreError::Down("no transaction's answer".into()).into()),
    }
}

fn discarded(index: usize, error: &str) -> Problem {
    Problem::bad(format!(
        "EXECABORT Transaction discarded because of previous errors. Command {}: {error}",
        index.saturating_add(1)
    ))
}

/// Makes a command ready to be sent: whether it needs a connection of its own, or the error that it gets instead.
async fn judge(bridge: &Bridge, right: Right, words: &mut Words) -> Result<Result<bool, String>, Problem> {
    let apart = match bridge.shared.policy.judge(words) {
        Ruling::Refused(error) => return Ok(Err(error)),
        Ruling::Apart => true,
        Ruling::Shared => false,
    };
    if right == Right::ReadOnly && !bridge.flags.only_read(&bridge.store, words).await? {
        let name =
            words.first().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).unwrap_or_default();
        return Ok(Err(format!(
            "NOPERM this user has no permissions to run the '{name}' command; its token only reads"
        )));
    }
    bridge.shared.scripts.translate(words);
    Ok(Ok(apart))
}

/// Sends commands on a connection of their own and waits as long as Redis does. The client's leaving closes it.
async fn send_apart(bridge: &Bridge, commands: &[Words]) -> Result<Vec<Reply>, Problem> {
    let (mut connection, _place) = open_apart(bridge).await?;
    connection.send(commands).await?;
    let mut replies = Vec::with_capacity(commands.len());
    for _ in commands {
        replies.push(connection.next().await?);
    }
    Ok(replies)
}

/// A connection of one's own and the place that it takes.
pub(super) async fn open_apart(bridge: &Bridge) -> Result<(Apart, body::Share), Problem> {
    if matches!(bridge.store, StoreClient::Cluster(_)) {
        return Err(Problem::bad(
            "ERR what waits needs a connection of its own, which a cluster does not give here",
        ));
    }
    let place = Arc::clone(&bridge.shared.apart).try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ERR too many blocking commands and subscriptions at once",
        )
    })?;
    let opening = async {
        let mut connection = Apart::open(&bridge.shared.store).await?;
        // A server that hangs still lets its kernel connect.
        connection.send(&[["PING"]]).await?;
        connection.next().await?;
        Ok::<_, StoreError>(connection)
    };
    let opened = timeout(bridge.shared.timeout(), opening).await;
    Ok((opened.map_err(|_| StoreError::Timeout)??, place))
}

/// An array of results, or of errors where one of them would be too large.
fn results(
    bridge: &Bridge,
    encoding: Encoding,
    replies: impl Iterator<Item = Reply>,
) -> Result<Response<Body>, Problem> {
    let mut out = Vec::with_capacity(256);
    reply::row(replies, &mut out, |reply, out| {
        let start = out.len();
        reply::object(&reply, encoding, out);
        if out.len() > bridge.shared.max_reply_bytes {
            out.truncate(start);
            reply::error(too_large(bridge).as_bytes(), out);
        }
    });
    answered(bridge, StatusCode::OK, out)
}

fn too_large(bridge: &Bridge) -> String {
    let limit = bridge.shared.max_reply_bytes;
    format!("ERR the answer is longer than {limit} bytes; ask for less, or raise `--max-reply-bytes`")
}

fn answered(bridge: &Bridge, status: StatusCode, out: Vec<u8>) -> Result<Response<Body>, Problem> {
    if out.len() <= SMALL_BYTES {
        return Ok(whole(status, out, None));
    }
    match bridge.shared.budget.take(out.len()) {
        Some(share) => Ok(whole(status, out, Some(share))),
        None => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ERR too many large answers at once; try again",
        )),
    }
}

fn whole(status: StatusCode, out: Vec<u8>, share: Option<body::Share>) -> Response<Body> {
    let mut response = Response::new(Body::Whole { bytes: Some(out.into()), _share: share });
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Answers up to here are not counted: all connections together hold little of them.
const SMALL_BYTES: usize = 16 << 10;
