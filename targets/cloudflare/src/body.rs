//! Bodies between the platform's streams and `http_body`. A stream that is dropped before its end is cancelled.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_streams::readable::IntoStream;

/// A body that the platform streams.
pub(crate) struct Streamed {
    stream: Option<IntoStream<'static>>,
    /// As announced; none if it was not.
    left: Option<u64>,
    /// Ends the request at the origin.
    _abort: Option<Abort>,
}

/// Aborts a `fetch` when dropped. After its end that does nothing.
pub(crate) struct Abort(Option<web_sys::AbortController>);

impl Abort {
    /// By this controller.
    pub(crate) fn new(controller: web_sys::AbortController) -> Self {
        Self(Some(controller))
    }

    /// Lets it go on.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// The platform's words for why a stream broke.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

impl From<JsValue> for Broken {
    fn from(value: JsValue) -> Self {
        let error = value.dyn_ref::<js_sys::Error>().map(js_sys::Error::message);
        Self(error.map(String::from).or_else(|| value.as_string()).unwrap_or_else(|| "unknown".into()))
    }
}

impl Streamed {
    /// Of a stream, with the length that was announced.
    pub(crate) fn new(
        stream: Option<web_sys::ReadableStream>,
        length: Option<u64>,
        abort: Option<Abort>,
    ) -> Self {
        let left = if stream.is_none() { Some(0) } else { length };
        let stream = stream
            .map(|stream| wasm_streams::ReadableStream::from_raw(stream.unchecked_into()).into_stream());
        Self { stream, left, _abort: abort }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        match ready!(stream.poll_next_unpin(cx)) {
            None => {
                self.stream = None;
                // What was announced and did not come broke off.
                match self.left {
                    Some(1..) => Poll::Ready(Some(Err(Broken("the body ended early".into())))),
                    _ => Poll::Ready(None),
                }
            }
            Some(Err(error)) => {
                self.stream = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(chunk)) => {
                let chunk: Bytes = Uint8Array::new(&chunk).to_vec().into();
                self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// A body of ours as the platform pulls it.
pub(crate) struct Pulled<B> {
    body: B,
    /// Aborted where the body breaks off: the platform would send what came until then as if it were the whole.
    request: Option<web_sys::AbortController>,
}

impl<B> Pulled<B> {
    /// A response's.
    pub(crate) fn response(body: B) -> Self {
        Self { body, request: None }
    }

    /// A request's.
    pub(crate) fn request(body: B, request: web_sys::AbortController) -> Self {
        Self { body, request: Some(request) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Stream for Pulled<B>
where
    B::Error: std::fmt::Display,
{
    type Item = Result<JsValue, JsValue>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => None,
                Some(Err(error)) => {
                    if let Some(request) = &self.request {
                        request.abort();
                    }
                    Some(Err(js_sys::Error::new(&error.to_string()).into()))
                }
                // The platform has no place for trailers.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(Uint8Array::from(data.as_ref()).into())),
                    Err(_) => continue,
                },
            });
        }
    }
}

/// A stream for the platform. With a length, it is announced and kept to.
///
/// # Errors
/// The platform refuses the length.
pub(crate) fn stream(
    body: impl Stream<Item = Result<JsValue, JsValue>> + 'static,
    length: Option<u64>,
) -> Result<web_sys::ReadableStream, JsValue> {
    let stream: web_sys::ReadableStream =
        wasm_streams::ReadableStream::from_stream(body).into_raw().unchecked_into();
    let Some(length) = length else { return Ok(stream) };
    let fixed = worker::worker_sys::FixedLengthStream::new_big_int(js_sys::BigInt::from(length))?;
    // What breaks the one breaks the other; the promise says nothing more.
    let piped = stream.pipe_to(&fixed.writable());
    wasm_bindgen_futures::spawn_local(async move {
        let _ = wasm_bindgen_futures::JsFuture::from(piped).await;
    });
    Ok(fixed.readable())
}
