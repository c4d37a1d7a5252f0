//! What a function answered, on its way to the client: streamed after a prelude, or one JSON object.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::oneshot;

/// Why a body ends early.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body for the client.
pub(crate) type Content = UnsyncBoxBody<Bytes, Broken>;

/// What a process posted.
pub(crate) struct Answer {
    pub(crate) streamed: bool,
    pub(crate) body: Posted,
}

/// The posted body; tells its process when it is read, or when nobody reads it any more.
pub(crate) struct Posted {
    body: Incoming,
    _read: oneshot::Sender<()>,
}

impl Posted {
    /// A body, and what completes when it is read.
    pub(crate) fn new(body: Incoming) -> (Self, oneshot::Receiver<()>) {
        let (sender, read) = oneshot::channel();
        (Self { body, _read: sender }, read)
    }
}

impl Body for Posted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame?.into_trailers() {
            Err(data) => Ok(data),
            // The stream that the function says is broken breaks for the client.
            Ok(trailers) => match trailers.get("lambda-runtime-function-error-type") {
                Some(kind) => Err(format!("the function failed: {kind:?}").into()),
                None => Ok(Frame::trailers(HeaderMap::new())),
            },
        }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status_code: u16,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response of a function URL.
pub(crate) async fn response(answer: Answer) -> Result<Response<Content>, Broken> {
    let Answer { streamed, mut body } = answer;
    if !streamed {
        let whole: Head = serde_json::from_slice(&body.collect().await?.to_bytes())?;
        let content = if whole.is_base64_encoded {
            STANDARD.decode(&whole.body).map_err(|error| error.to_string())?
        } else {
            whole.body.clone().into_bytes()
        };
        return head(&whole, Full::new(content.into()).map_err(|never| match never {}).boxed_unsync());
    }
    let mut read = BytesMut::new();
    let end = loop {
        if let Some(end) = read.windows(END.len()).position(|window| window == END) {
            break end;
        }
        let frame = body.frame().await.ok_or("the response has no prelude")??;
        if let Ok(data) = frame.into_data() {
            read.extend_from_slice(&data);
        }
    };
    let prelude: Head = serde_json::from_slice(&read.split_to(end))?;
    let first = read.split_off(END.len()).freeze();
    head(&prelude, Rest { first, body }.boxed_unsync())
}

fn head(head: &Head, content: Content) -> Result<Response<Content>, Broken> {
    let mut response = Response::new(content);
    *response.status_mut() = StatusCode::from_u16(head.status_code)?;
    let headers = response.headers_mut();
    for (name, value) in &head.headers {
        let value = value.as_str().ok_or("the value of a field is no text")?;
        headers.append(HeaderName::try_from(name.as_str())?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    for cookie in &head.cookies {
        headers.append(header::SET_COOKIE, HeaderValue::from_bytes(cookie.as_bytes())?);
    }
    // As a function URL does it: what is streamed is chunked.
    if let Some(length) = headers.remove(header::CONTENT_LENGTH) {
        headers.insert("x-amzn-remapped-content-length", length);
    }
    Ok(response)
}

/// What followed the prelude in its chunk, then the rest.
struct Rest {
    first: Bytes,
    body: Posted,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

/// Between prelude and body.
const END: [u8; 8] = [0; 8];
