//! The client's body on its way to the origin: counted, limited and, where asked, captured.
//!
//! Every attempt gets an [`Upload`], a handle on the one body. An attempt that never pulled from it leaves it whole for the
//! next; of a request that may be repeated, the first pieces are kept, too.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use acip_core::OriginFailure;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{capture::Capture, pieces::Pieces, ports::Shared};

/// A request body for one attempt.
pub struct Upload<B> {
    source: Shared<Source<B>>,
    /// The [`Source::round`] it was made in.
    round: u32,
}

/// Why an upload ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// Past the limit.
    #[error("the request's body is larger than allowed")]
    TooLarge,
    /// The client broke off.
    #[error("the client's body broke off or is malformed")]
    Client,
    /// The client sent nothing for too long.
    #[error("the client's body stopped coming")]
    Stalled,
    /// Another attempt has the body now.
    #[error("the request is sent elsewhere")]
    Superseded,
}

/// The one body behind the uploads.
pub(crate) struct Source<B> {
    from: Supply<B>,
    max: u64,
    touched: bool,
    /// What was taken, while all of it is here and can be handed over again.
    kept: Option<Pieces>,
    /// Counts rewinds: a connection that was given up may still pull, and must not get what the next one misses.
    round: u32,
    ended: bool,
    error: Option<UploadError>,
    pub(crate) bytes: u64,
    pub(crate) capture: Capture,
    /// Counts every chunk, so that a timer can see progress without a clock.
    pub(crate) progress: u64,
    /// Whether the client was asked for more and had nothing: then it is the client that is waited for.
    waits: bool,
}

enum Supply<B> {
    Nothing,
    Client(B),
    /// Read ahead and whole: can be sent again.
    Held {
        all: Bytes,
        at_end: bool,
    },
    /// Read ahead, but there is more.
    Begun {
        first: Pieces,
        rest: B,
    },
}

impl<B: Body<Data = Bytes> + Unpin> Supply<B> {
    fn is_at_end(&self) -> bool {
        match self {
            Supply::Nothing => true,
            Supply::Held { all, at_end } => *at_end || all.is_empty(),
            Supply::Client(body) => body.is_end_stream(),
            Supply::Begun { first, rest } => first.is_empty() && rest.is_end_stream(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Source<B> {
    /// `body` up to `max` bytes.
    pub(crate) fn new(body: Option<B>, max: u64, capture: usize) -> Self {
        let from = match body {
            Some(body) if !body.is_end_stream() => Supply::Client(body),
            _ => Supply::Nothing,
        };
        let ended = matches!(from, Supply::Nothing);
        Self {
            from,
            max,
            touched: false,
            kept: None,
            round: 0,
            ended,
            error: None,
            bytes: 0,
            capture: Capture::new(capture),
            progress: 0,
            waits: false,
        }
    }

    /// A body that is all here.
    pub(crate) fn whole(all: Bytes) -> Self {
        Self { from: Supply::Held { all, at_end: false }, ended: false, ..Self::new(None, u64::MAX, 0) }
    }

    /// Whether a further attempt would send the same bytes.
    pub(crate) fn is_whole(&self) -> bool {
        match self.from {
            Supply::Nothing | Supply::Held { .. } => true,
            Supply::Client(_) | Supply::Begun { .. } => !self.touched || self.kept.is_some(),
        }
    }

    /// Keeps what is taken, as far as it is small, for a request that may be repeated.
    pub(crate) fn keep(&mut self) {
        self.kept = Some(Pieces::default());
    }

    /// Whether all of it has been handed over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Makes a whole body ready to be sent once more.
    pub(crate) fn rewind(&mut self) {
        self.round = self.round.wrapping_add(1);
        let mut taken = self.kept.as_mut().map(std::mem::take).unwrap_or_default();
        self.from = match std::mem::replace(&mut self.from, Supply::Nothing) {
            Supply::Held { all, .. } => Supply::Held { all, at_end: false },
            Supply::Client(rest) if self.touched => Supply::Begun { first: taken, rest },
            Supply::Begun { first, rest } => {
                taken.append(first);
                Supply::Begun { first: taken, rest }
            }
            untouched => untouched,
        };
        self.touched = false;
        self.ended = matches!(self.from, Supply::Nothing);
        self.bytes = 0;
        self.capture.restart();
        self.waits = false;
    }

    /// Nobody waits any longer. It was the client's fault if its body was asked for and did not come.
    pub(crate) fn give_up(&mut self) {
        if self.waits {
            self.error = Some(UploadError::Stalled);
        }
    }

    /// Keeps a piece that is handed over, or gives up what was kept.
    fn keep_piece(&mut self, frame: &Frame<Bytes>) {
        let Some(kept) = &mut self.kept else { return };
        match frame.data_ref() {
            Some(data) if self.bytes <= MOST_KEPT => kept.push(data.clone()),
            _ => self.kept = None,
        }
    }

    /// Why it ended early.
    pub(crate) fn failure(&self) -> Option<OriginFailure> {
        self.error.map(|error| match error {
            UploadError::TooLarge => OriginFailure::BodyTooLarge,
            UploadError::Client | UploadError::Stalled | UploadError::Superseded => OriginFailure::ClientBody,
        })
    }

    /// Whether it says itself that it is too large.
    pub(crate) fn is_too_large(&self) -> bool {
        match &self.from {
            Supply::Client(body) => body.size_hint().lower() > self.max,
            _ => false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if let Some(error) = self.error {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match &mut self.from {
            Supply::Nothing => None,
            Supply::Held { all, at_end } => {
                let first = !std::mem::replace(at_end, true) && !all.is_empty();
                first.then(|| Frame::data(all.clone()))
            }
            Supply::Client(body) => {
                self.touched = true;
                match ready!(Pin::new(body).poll_frame(cx)) {
                    None => None,
                    Some(Ok(frame)) => Some(frame),
                    Some(Err(_)) => return self.fail(UploadError::Client),
                }
            }
            Supply::Begun { first, rest } => {
                self.touched = true;
                match first.pop() {
                    Some(piece) => Some(Frame::data(piece)),
                    None => match ready!(Pin::new(rest).poll_frame(cx)) {
                        None => None,
                        Some(Ok(frame)) => Some(frame),
                        Some(Err(_)) => return self.fail(UploadError::Client),
                    },
                }
            }
        };
        let Some(frame) = frame else {
            self.ended = true;
            return Poll::Ready(None);
        };
        self.advance();
        if let Some(data) = frame.data_ref() {
            self.bytes = self.bytes.saturating_add(data.len() as u64);
            if self.bytes > self.max {
                return self.fail(UploadError::TooLarge);
            }
            self.capture.push(data);
        }
        self.keep_piece(&frame);
        // A reader that knows the length may never ask for the end.
        self.ended = self.from.is_at_end();
        Poll::Ready(Some(Ok(frame)))
    }

    fn advance(&mut self) {
        self.progress = self.progress.wrapping_add(1);
    }

    fn fail(&mut self, error: UploadError) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.error = Some(error);
        Poll::Ready(Some(Err(error)))
    }

    /// Reads ahead up to `max` bytes. Returns the body if all of it is there, none if it is longer.
    pub(crate) async fn hold(source: &Shared<Self>, max: usize) -> Result<Option<Bytes>, OriginFailure> {
        let (mut body, limit) = {
            let mut source = source.borrow_mut();
            match std::mem::replace(&mut source.from, Supply::Nothing) {
                Supply::Client(body) => (body, source.max),
                other => {
                    source.from = other;
                    return Ok(Some(Bytes::new()));
                }
            }
        };
        let mut first = Pieces::default();
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let Some(frame) = frame else { break };
            let Ok(frame) = frame else { return Err(OriginFailure::ClientBody) };
            source.borrow_mut().advance();
            // A signature covers data alone: trailers of a held body are dropped with it.
            let Ok(data) = frame.into_data() else { continue };
            first.push(data);
            if first.len() > limit {
                return Err(OriginFailure::BodyTooLarge);
            }
            if first.len() > max as u64 {
                source.borrow_mut().from = Supply::Begun { first, rest: body };
                return Ok(None);
            }
        }
        let all = first.into_bytes();
        source.borrow_mut().from = Supply::Held { all: all.clone(), at_end: false };
        Ok(Some(all))
    }
}

impl<B> Upload<B> {
    pub(crate) fn new(source: &Shared<Source<B>>) -> Self {
        let round = source.borrow().round;
        Self { source: Rc::clone(source), round }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    /// A second handle on the same body.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(&self.source)
    }

    /// Makes a body that [is whole](Upload::is_whole) ready to be sent once more, by this handle alone.
    pub fn rewind(&mut self) {
        let mut source = self.source.borrow_mut();
        source.rewind();
        self.round = source.round;
    }

    /// Whether nothing of it has been taken yet, or all of it is held and can be sent again.
    pub fn is_whole(&self) -> bool {
        self.source.borrow().is_whole()
    }
}

impl<B> std::fmt::Debug for Upload<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Upload<B> {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let mut source = self.source.borrow_mut();
        if source.round == self.round {
            let polled = source.poll(cx);
            source.waits = polled.is_pending();
            polled
        } else {
            Poll::Ready(Some(Err(UploadError::Superseded)))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.borrow().from.is_at_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source.borrow().from {
            Supply::Nothing => SizeHint::with_exact(0),
            Supply::Held { all, .. } => SizeHint::with_exact(all.len() as u64),
            Supply::Client(body) => body.size_hint(),
            Supply::Begun { first, rest } => {
                let rest = rest.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(first.len().saturating_add(rest.lower()));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(first.len().saturating_add(upper));
                }
                hint
            }
        }
    }
}

/// Bytes of a body that are kept for another attempt: enough for what such requests carry, little beside what a connection has
/// in its buffers.
const MOST_KEPT: u64 = 64 << 10;
