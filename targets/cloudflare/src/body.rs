//! Bodies between the platform's streams and `http_body`. A stream that is dropped before its end is cancelled.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body::{Body, Frame, SizeHint};
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_streams::readable::IntoStream;
use worker::worker_sys::FixedLengthStream;

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

/// What the platform reads a body of ours from, and what that is written to.
pub(crate) struct Pipe {
    /// The platform's end.
    pub(crate) readable: web_sys::ReadableStream,
    writer: web_sys::WritableStreamDefaultWriter,
}

impl Pipe {
    /// With a length, it is announced and kept to.
    ///
    /// # Errors
    /// The platform has no such streams.
    pub(crate) fn new(length: Option<u64>) -> Result<Self, JsValue> {
        let pair: web_sys::TransformStream = match length {
            Some(length) => FixedLengthStream::new_big_int(js_sys::BigInt::from(length))?.unchecked_into(),
            None => {
                let class = Reflect::get(&js_sys::global(), &"IdentityTransformStream".into())?;
                Reflect::construct(&class.dyn_into::<js_sys::Function>()?, &Array::new())?.unchecked_into()
            }
        };
        Ok(Self { readable: pair.readable(), writer: pair.writable().get_writer()? })
    }

    /// Has `entry.mjs` break it off where the instance of this code is given up.
    pub(crate) fn under_way(&self, request: &web_sys::Request) -> UnderWay {
        let all = Reflect::get(&js_sys::global(), &"gatewayUnderWay".into());
        let all = all.ok().and_then(|it| it.dyn_into::<js_sys::Map>().ok());
        let state = all.as_ref().map(|all| all.get(request));
        if let Some(state) = state.filter(JsValue::is_object) {
            let _ = Reflect::set(&state, &"stream".into(), &self.writer);
        }
        UnderWay { all, request: request.into() }
    }

    /// Writes a body, piece by piece as each is taken.
    ///
    /// # Errors
    /// The body broke off, or nobody reads it any more.
    pub(crate) async fn pump<B>(self, mut body: B) -> Result<(), JsValue>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            match frame {
                Ok(frame) => {
                    // The platform has no place for trailers.
                    let data = frame.into_data().unwrap_or_default();
                    if !data.is_empty() {
                        let piece = Uint8Array::from(data.as_ref());
                        JsFuture::from(self.writer.write_with_chunk(&piece)).await?;
                    }
                }
                Err(error) => {
                    let error = js_sys::Error::new(&error.to_string());
                    // It fails where nobody reads any more, who is not to be told then.
                    let _ = JsFuture::from(self.writer.abort_with_reason(&error)).await;
                    return Err(error.into());
                }
            }
        }
        JsFuture::from(self.writer.close()).await.map(drop)
    }
}

/// Until it is dropped, a panic breaks this stream off.
pub(crate) struct UnderWay {
    all: Option<js_sys::Map>,
    request: JsValue,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            all.delete(&self.request);
        }
    }
}
