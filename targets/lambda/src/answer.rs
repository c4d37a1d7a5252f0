//! A response in the shape that the function's caller expects: streamed after a prelude for function URLs, one JSON object
//! for API Gateway and load balancers, which take no streams.

use std::{future::poll_fn, pin::Pin};

use acip_core::{Answer, ErrorCode, Refusal};
use acip_shell::{Body, BodyError, Ports};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, response::Parts};
use http_body::Body as _;
use lambda_runtime_api_client::body::sender::Sender;
use serde_json::{Map, Value, json};

/// What the caller understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// A prelude, then the body as it comes (function URLs).
    #[default]
    Stream,
    /// One value per field, cookies apart (HTTP APIs).
    Cookies,
    /// Lists of values (REST APIs, and load balancers where the target group says so).
    Lists,
    /// One value per field (load balancers otherwise). Of several cookies only the first can be set.
    Single,
}

/// How a streamed response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streamed {
    /// All of it was sent.
    Whole,
    /// The origin failed on the way, and the trailers say so.
    Broken,
    /// Nobody takes it.
    Left,
}

/// Sends the prelude and the body. What breaks on the way breaks for the client, too: the runtime API hears of it in
/// trailers and does not end the response in an orderly way.
pub(crate) async fn stream<P: Ports>(parts: &Parts, mut body: Body<P>, mut to: Sender) -> Streamed {
    let prelude = json!({
        "statusCode": parts.status.as_u16(),
        "headers": joined(&parts.headers),
        "cookies": cookies(&parts.headers),
    });
    // Emulators look for the end of the prelude between chunks.
    if to.send_data(prelude.to_string().into()).await.is_err()
        || to.send_data(Bytes::from_static(&[0; 8])).await.is_err()
    {
        return Streamed::Left;
    }
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => {
                // Trailers of the origin have no place in a prelude that has gone.
                let Ok(data) = frame.into_data() else { continue };
                // Dropping the body tells the origin that the client left.
                if !data.is_empty() && to.send_data(data).await.is_err() {
                    return Streamed::Left;
                }
            }
            Err(error) => {
                let _ = to.send_trailers(trailers(error)).await;
                return Streamed::Broken;
            }
        }
    }
    Streamed::Whole
}

/// Collects the body into the caller's JSON object. `problem` is whether the client wants errors by RFC 9457.
pub(crate) async fn whole<P: Ports>(
    envelope: Envelope,
    problem: bool,
    parts: &Parts,
    mut body: Body<P>,
) -> Vec<u8> {
    let mut collected = Vec::new();
    let mut failure = None;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => collected.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(error) => failure = Some(error.to_string()),
        }
        if collected.len() > MAX_WHOLE {
            failure = Some(format!(
                "the response has more than {MAX_WHOLE} bytes; use a function URL, which streams"
            ));
        }
        if failure.is_some() {
            break;
        }
    }
    let answer = match failure {
        None => shape(envelope, parts.status.as_u16(), &parts.headers, &collected),
        Some(reason) => broken(envelope, problem, &parts.headers, reason),
    };
    answer.to_string().into_bytes()
}

fn shape(envelope: Envelope, status: u16, headers: &HeaderMap, body: &[u8]) -> Value {
    let mut answer = Map::new();
    answer.insert("statusCode".into(), status.into());
    match envelope {
        Envelope::Stream | Envelope::Cookies => {
            answer.insert("headers".into(), joined(headers).into());
            answer.insert("cookies".into(), cookies(headers).into());
        }
        Envelope::Lists => {
            answer.insert("multiValueHeaders".into(), lists(headers).into());
        }
        Envelope::Single => {
            let mut joined = joined(headers);
            if let Some(first) = cookies(headers).into_iter().next() {
                joined.insert(header::SET_COOKIE.as_str().into(), first.into());
            }
            answer.insert("headers".into(), joined.into());
        }
    }
    // Text that is compressed is no text.
    let plain = !headers.contains_key(header::CONTENT_ENCODING);
    match str::from_utf8(body) {
        Ok(text) if plain => {
            answer.insert("body".into(), text.into());
            answer.insert("isBase64Encoded".into(), false.into());
        }
        _ => {
            answer.insert("body".into(), STANDARD.encode(body).into());
            answer.insert("isBase64Encoded".into(), true.into());
        }
    }
    Value::Object(answer)
}

/// What was to be one object has no end: a status says so, for there is no stream to break.
fn broken(envelope: Envelope, problem: bool, headers: &HeaderMap, reason: String) -> Value {
    let id = HeaderName::from_static("x-request-id");
    let request_id = headers.get(&id).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refusal = Refusal::new(ErrorCode::BadGateway, "whole", reason);
    let Answer { status, headers: mut own, body, .. } = refusal.render(request_id, problem);
    if let Some(value) = headers.get(&id) {
        own.insert(id, value.clone());
    }
    shape(envelope, status.as_u16(), &own, &body)
}

/// Fields with their values joined, but for cookies and what concerns one connection alone.
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let mut fields = Map::new();
    for name in passing(headers).filter(|name| *name != header::SET_COOKIE) {
        fields.insert(name.as_str().into(), values(headers, name).join(", ").into());
    }
    fields
}

fn lists(headers: &HeaderMap) -> Map<String, Value> {
    passing(headers).map(|name| (name.as_str().into(), values(headers, name).into())).collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    values(headers, &header::SET_COOKIE)
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    // JSON holds text: bytes beyond ASCII are taken for Latin-1 where they are no UTF-8.
    let text = |value: &HeaderValue| match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    };
    headers.get_all(name).iter().map(text).collect()
}

/// Names of the fields that are not about the connection.
fn passing(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| ![header::CONNECTION, header::TRANSFER_ENCODING].contains(name))
}

fn trailers(error: BodyError) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let kind = HeaderName::from_static("lambda-runtime-function-error-type");
    trailers.insert(kind, HeaderValue::from_static("Gateway.OriginBroke"));
    let message = json!({ "errorType": "Gateway.OriginBroke", "errorMessage": error.to_string() });
    if let Ok(value) = HeaderValue::try_from(STANDARD.encode(message.to_string())) {
        trailers.insert(HeaderName::from_static("lambda-runtime-function-error-body"), value);
    }
    trailers
}

/// Names of the trailers that tell the runtime API of a failure under way.
pub(crate) const ERROR_TRAILERS: &str =
    "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body";

/// Bytes of a response that is no stream: Lambda takes 6 MB of JSON, and base64 makes four bytes of three.
const MAX_WHOLE: usize = 4 << 20;

#[cfg(test)]
mod tests;
