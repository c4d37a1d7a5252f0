//! Bodies between the platform's streams and `http_body`. A stream that is dropped before its end is cancelled.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::platform;

/// A body that the platform streams.
pub(crate) struct Streamed {
    reader: Option<Reader>,
    /// As announced; none if it was not.
    left: Option<u64>,
    /// Ends the request at the origin.
    abort: Option<Abort>,
}

/// Reads a stream, which is cancelled where it is dropped before its end.
pub(crate) struct Reader {
    reader: web_sys::ReadableStreamDefaultReader,
    reading: Option<JsFuture>,
    ended: bool,
}

impl Reader {
    /// Of a stream that nobody else reads.
    pub(crate) fn new(stream: &web_sys::ReadableStream) -> Self {
        Self { reader: stream.get_reader().unchecked_into(), reading: None, ended: false }
    }

    /// The next piece; none at the end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, JsValue>>> {
        let reading = self.reading.get_or_insert_with(|| JsFuture::from(self.reader.read()));
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(match read.map(JsValue::unchecked_into::<platform::Read>) {
            Ok(read) if !read.done() => Some(Ok(Uint8Array::new(&read.value()).to_vec().into())),
            Ok(_) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            platform::quit(&self.reader);
        }
    }
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
        stream: Option<&web_sys::ReadableStream>,
        length: Option<u64>,
        abort: Option<Abort>,
    ) -> Self {
        let left = if stream.is_none() { Some(0) } else { length };
        let reader = stream.map(Reader::new);
        Self { reader, left, abort }
    }

    /// All of it has come: there is nothing to be cancelled.
    fn end(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.ended = true;
        }
        if let Some(mut abort) = self.abort.take() {
            abort.disarm();
        }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(None) };
        match ready!(reader.poll(cx)) {
            None if matches!(self.left, Some(1..)) => {
                // What was announced and did not come broke off.
                self.reader = None;
                Poll::Ready(Some(Err(Broken("the body ended early".into()))))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.reader = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(chunk)) => {
                self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
                if self.left == Some(0) {
                    self.end();
                }
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none()
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
        let pair = platform::pipe(length.map(|length| length as f64))?;
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
                        if body.is_end_stream() {
                            return JsFuture::from(platform::finish(&self.writer, &piece)).await.map(drop);
                        }
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
