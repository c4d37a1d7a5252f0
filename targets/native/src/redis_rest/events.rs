//! `/subscribe/{channel}…`, `/psubscribe/{pattern}…` and `/monitor`: messages as server-sent events, each stream on a
//! connection to Redis of its own.

use std::time::Duration;

use acip_core::store::{Reply, StoreError};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use tokio::{sync::watch, time::timeout};

use super::{
    Bridge,
    ask::{no_permission, open_apart},
    body::{Body, Share},
    json::Words,
    problem::Problem,
    serve::draining,
    tokens::Right,
};
use crate::{process::Phase, store::Apart};

struct Events {
    /// The first answer, said already.
    first: Option<Reply>,
    connection: Apart,
    phase: watch::Receiver<Phase>,
    _place: Share,
}

/// Opens a stream. It ends when the client leaves, Redis closes the connection, or the server drains.
pub(super) async fn open(bridge: &Bridge, right: Right, words: Words) -> Result<Response<Body>, Problem> {
    if words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"monitor")) {
        if right != Right::Full {
            return Err(Problem::bad(no_permission(&words)));
        }
        if let Some(error) = bridge.shared.policy.refuses("MONITOR") {
            return Err(Problem::bad(error));
        }
    }
    let (mut connection, place) = open_apart(bridge).await?;
    connection.send(&[words]).await?;
    let waited = timeout(bridge.shared.timeout(), connection.next()).await;
    let first = waited.map_err(|_| StoreError::Timeout)??;
    if let Reply::Error(line) = &first {
        return Err(Problem::bad(String::from_utf8_lossy(line)));
    }
    let events =
        Events { first: Some(first), connection, phase: bridge.shared.phase.subscribe(), _place: place };
    let mut response = Response::new(Body::Events(Box::pin(stream::unfold(events, next))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

async fn next(mut events: Events) -> Option<(Bytes, Events)> {
    if let Some(first) = events.first.take() {
        return Some((event(&first), events));
    }
    let message = tokio::select! {
        () = draining(&mut events.phase) => return None,
        message = timeout(HEARTBEAT, events.connection.next()) => message,
    };
    match message {
        Ok(Ok(reply)) => Some((event(&reply), events)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a stream of messages ended");
            None
        }
        // A comment: a client that is gone is found out.
        Err(_) => Some((Bytes::from_static(b":\n\n"), events)),
    }
}

/// A message as one event: its parts separated by commas, a line of data per line.
fn event(reply: &Reply) -> Bytes {
    let text = match reply {
        Reply::Status(text) if text.as_ref() == b"OK" => "\"OK\"".to_owned(),
        Reply::Array(items) | Reply::Push(items) => items.iter().map(part).collect::<Vec<_>>().join(","),
        reply => part(reply),
    };
    let mut out = String::with_capacity(text.len() + 8);
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        out.push_str("data: ");
        out.push_str(line);
        out.push('\n');
    }
    out.push('\n');
    out.into()
}

fn part(reply: &Reply) -> String {
    match reply {
        Reply::Int(number) => number.to_string(),
        Reply::Nil => "null".into(),
        reply => reply.text().unwrap_or_default(),
    }
}

/// Silence after which a comment is sent.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_events() {
        let check = |reply: &Reply, expected: &str| assert_eq!(event(reply), expected, "{reply:?}");
        let bulk = |text: &'static str| Reply::Bulk(text.into());
        check(&Reply::Array(vec![bulk("subscribe"), bulk("c"), Reply::Int(1)]), "data: subscribe,c,1\n\n");
        check(&Reply::Array(vec![bulk("message"), bulk("c"), bulk("a,b")]), "data: message,c,a,b\n\n");
        check(
            &Reply::Array(vec![bulk("message"), bulk("c"), bulk("a\nb\r\nc\rd")]),
            "data: message,c,a\ndata: b\ndata: c\ndata: d\n\n",
        );
        check(&Reply::Status("OK".into()), "data: \"OK\"\n\n");
        check(&Reply::Status("1.5 [0 a:1] \"GET\"".into()), "data: 1.5 [0 a:1] \"GET\"\n\n");
    }
}
