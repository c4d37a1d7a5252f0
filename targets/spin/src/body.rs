//! Bodies between the platform's streams and `http_body`. A stream that is dropped before its end is cancelled.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use spin_sdk::{
    http::IncomingMessage,
    wasip3::{
        http::types::{ErrorCode, Fields},
        wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter},
        wit_future, wit_stream,
    },
};

use crate::{fields, ports::wait};

/// How a body of the platform's ends.
type Ending = Result<Option<Fields>, ErrorCode>;

/// A body that the platform streams.
pub(crate) struct Streamed {
    state: State,
    /// Read while looking whether there is anything.
    ahead: Option<Result<Frame<Bytes>, ErrorCode>>,
    /// As announced; none if it was not.
    left: Option<u64>,
    /// Tells the platform that nothing went wrong here; it does so when dropped.
    _told: Option<FutureWriter<Result<(), ErrorCode>>>,
}

enum State {
    Ready(Ends),
    Reading(Pin<Box<dyn Future<Output = Read>>>),
    Done,
}

struct Ends {
    chunks: StreamReader<u8>,
    ending: FutureReader<Ending>,
}

enum Read {
    Chunk(Vec<u8>, Ends),
    End(Ending),
}

impl Streamed {
    /// The body of a message, with the length that was announced. The platform does not say whether there is any: one that
    /// has ended already is empty, and what is there already is kept.
    pub(crate) async fn of(message: Option<impl IncomingMessage>, length: Option<u64>) -> Self {
        let Some(message) = message else {
            return Self { state: State::Done, ahead: None, left: Some(0), _told: None };
        };
        let (told, result) = wit_future::new(|| Ok(()));
        let (chunks, ending) = message.consume_body(result);
        let state = State::Ready(Ends { chunks, ending });
        let mut body = Self { state, ahead: None, left: length, _told: Some(told) };
        if length != Some(0) {
            body.ahead = poll_fn(|cx| {
                Poll::Ready(match body.poll_state(cx) {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => None,
                })
            })
            .await;
        }
        body
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        loop {
            match &mut self.state {
                State::Done => return Poll::Ready(None),
                State::Ready(_) => {
                    let State::Ready(ends) = std::mem::replace(&mut self.state, State::Done) else {
                        return Poll::Ready(None);
                    };
                    self.state = State::Reading(Box::pin(read(ends)));
                }
                State::Reading(reading) => match ready!(reading.as_mut().poll(cx)) {
                    Read::Chunk(chunk, ends) => {
                        self.state = State::Ready(ends);
                        return Poll::Ready(Some(Ok(Frame::data(chunk.into()))));
                    }
                    Read::End(ending) => {
                        self.state = State::Done;
                        return Poll::Ready(match ending {
                            Ok(None) => None,
                            Ok(Some(trailers)) => Some(Ok(Frame::trailers(fields::read(&trailers)))),
                            Err(error) => Some(Err(error)),
                        });
                    }
                },
            }
        }
    }
}

async fn read(mut ends: Ends) -> Read {
    let (outcome, chunk) = ends.chunks.read(Vec::with_capacity(CHUNK_BYTES)).await;
    match outcome {
        StreamResult::Dropped | StreamResult::Cancelled if chunk.is_empty() => Read::End(ends.ending.await),
        _ => Read::Chunk(chunk, ends),
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let frame = match self.ahead.take() {
            Some(frame) => Some(frame),
            None => ready!(self.poll_state(cx)),
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && (matches!(self.state, State::Done) || self.left == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// Where a body of ours is put for the platform to take.
pub(crate) struct Outlet {
    chunks: StreamWriter<u8>,
    ending: FutureWriter<Ending>,
}

impl Outlet {
    /// An outlet, and what the platform is given of it.
    pub(crate) fn new() -> (Self, StreamReader<u8>, FutureReader<Ending>) {
        let (chunks, taken) = wit_stream::new();
        let (ending, ended) = wit_future::new(|| Err(broken("the body was given up".into())));
        (Self { chunks, ending }, taken, ended)
    }

    /// Puts all of it there is.
    pub(crate) async fn put_whole(mut self, bytes: Bytes) {
        if self.chunks.write_all(bytes.into()).await.is_empty() {
            drop(self.chunks);
            let _ = self.ending.write(Ok(None)).await;
        }
    }

    /// Puts a body as it comes, until its end or until nobody takes it: then the body is dropped. With `watch`, that is
    /// noticed while the body is silent, too.
    pub(crate) async fn put<B: Body<Data = Bytes> + Unpin>(mut self, mut body: B, watch: bool)
    where
        B::Error: std::fmt::Display,
    {
        let mut trailers = None;
        let mut look = wait(LOOK_MS);
        loop {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = if watch {
                match select(next, &mut look).await {
                    Either::Left((frame, _)) => frame,
                    Either::Right(_) => {
                        look = wait(LOOK_MS);
                        // Nothing is written, but it fails where nobody takes what would be.
                        if let (StreamResult::Dropped, _) = self.chunks.write(Vec::new()).await {
                            return;
                        }
                        continue;
                    }
                }
            } else {
                next.await
            };
            match frame {
                None => break,
                Some(Err(error)) => {
                    // An error overtakes what the platform has taken and not sent yet, the head of a response among it.
                    let _ = self.chunks.write(Vec::new()).await;
                    wait(LINGER_MS).await;
                    let _ = self.ending.write(Err(broken(error.to_string()))).await;
                    return;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if !self.chunks.write_all(data.into()).await.is_empty() {
                            return;
                        }
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        drop(self.chunks);
        let trailers = trailers.map(|trailers: HeaderMap| fields::write(&trailers));
        let _ = self.ending.write(Ok(trailers)).await;
    }
}

fn broken(why: String) -> ErrorCode {
    ErrorCode::InternalError(Some(why))
}

/// Taken from the platform at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Between looks whether anybody still takes a silent body. The platform does not tell by itself.
const LOOK_MS: u64 = 500;

/// For the platform to send what it has taken.
const LINGER_MS: u64 = 10;
