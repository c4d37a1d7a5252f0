//! The response's body on its way to the client: chunk by chunk as the origin sends it, nothing held back, nothing copied.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use acip_core::outcome::End;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    account::Account,
    pieces::Pieces,
    ports::{EventStream, Ports},
};

/// A response body. Dropping it before its end tells the origin and the accounts that the client left.
pub struct Body<P: Ports> {
    kind: Kind<P>,
    account: Option<Box<Account<P>>>,
}

enum Kind<P: Ports> {
    /// Handed over once; empty afterwards.
    Whole(Bytes),
    Stream(Stream<P>),
    Events(Events),
    Broken,
}

/// Events as they happen: nobody is kept waiting by the time between them.
struct Events {
    told: EventStream,
    waiting_since_us: Option<u64>,
}

struct Stream<P: Ports> {
    /// What was read ahead.
    ahead: Pieces,
    body: P::OriginBody,
    idle_ms: u64,
    /// Set once per silence at most: it is not moved by chunks, only looked at when it goes off.
    timer: Option<P::Sleep>,
    waiting_since_us: Option<u64>,
}

/// Why a body did not come to its end. To the client the connection (or the HTTP/2 stream) breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The origin broke off.
    #[error("the origin broke off its response")]
    OriginBroke,
    /// The origin was silent for too long.
    #[error("the origin was silent for too long")]
    OriginSilent,
}

impl<P: Ports> Body<P> {
    pub(crate) fn whole(bytes: Bytes, account: Option<Box<Account<P>>>) -> Self {
        Self { kind: Kind::Whole(bytes), account }
    }

    pub(crate) fn stream(ahead: Pieces, body: P::OriginBody, idle_ms: u64, account: Box<Account<P>>) -> Self {
        let stream = Stream { ahead, body, idle_ms, timer: None, waiting_since_us: None };
        Self { kind: Kind::Stream(stream), account: Some(account) }
    }

    /// The same answer, of which the body is events.
    pub(crate) fn telling(mut self, told: EventStream) -> Self {
        self.kind = Kind::Events(Events { told, waiting_since_us: None });
        self
    }

    pub(crate) fn broken() -> Self {
        Self { kind: Kind::Broken, account: None }
    }

    /// All of the body, if it is there already; then nothing is left of it. For platforms that announce a length only of what
    /// they are given whole.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let Kind::Whole(bytes) = &mut self.kind else { return self.is_end_stream().then(Bytes::new) };
        let bytes = std::mem::take(bytes);
        if let Some(account) = &mut self.account {
            account.response_bytes = account.response_bytes.saturating_add(bytes.len() as u64);
        }
        Some(bytes)
    }

    fn finish(&mut self, end: End) {
        if let Some(mut account) = self.account.take() {
            account.finish(end);
        }
    }

    /// Runs to the end, for its effects.
    pub(crate) async fn drain(mut self) {
        while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {}
    }
}

impl<P: Ports> Stream<P> {
    fn poll(
        &mut self,
        account: &mut Option<Box<Account<P>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match self.ahead.pop() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None => Pin::new(&mut self.body).poll_frame(cx),
        };
        let Some(account) = account else { return Poll::Ready(None) };
        match frame {
            Poll::Ready(frame) => {
                if let Some(since) = self.waiting_since_us.take() {
                    let waited = account.ports.mono_us().saturating_sub(since);
                    account.origin_us = account.origin_us.saturating_add(waited);
                }
                Poll::Ready(match frame {
                    None => None,
                    Some(Err(_)) => Some(Err(BodyError::OriginBroke)),
                    Some(Ok(frame)) => {
                        if let Some(data) = frame.data_ref() {
                            account.response_bytes = account.response_bytes.saturating_add(data.len() as u64);
                            account.capture.push(data);
                        }
                        Some(Ok(frame))
                    }
                })
            }
            Poll::Pending => self.wait(account, cx),
        }
    }

    fn wait(
        &mut self,
        account: &Account<P>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let now_us = account.ports.mono_us();
        let since_us = *self.waiting_since_us.get_or_insert(now_us);
        loop {
            let timer = self.timer.get_or_insert_with(|| account.ports.sleep(self.idle_ms));
            if Pin::new(timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let silent_ms = account.ports.mono_us().saturating_sub(since_us) / 1000;
            if silent_ms >= self.idle_ms {
                return Poll::Ready(Some(Err(BodyError::OriginSilent)));
            }
            self.timer = Some(account.ports.sleep(self.idle_ms - silent_ms));
        }
    }
}

impl Events {
    fn poll<P: Ports>(
        &mut self,
        account: &mut Option<Box<Account<P>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.told.as_mut().poll_next(cx);
        let Some(account) = account else { return Poll::Ready(None) };
        let now_us = account.ports.mono_us();
        let since_us = *self.waiting_since_us.get_or_insert(now_us);
        if let Poll::Ready(chunk) = &polled {
            self.waiting_since_us = None;
            account.origin_us = account.origin_us.saturating_add(now_us.saturating_sub(since_us));
            let bytes = chunk.as_ref().map_or(0, Bytes::len);
            account.response_bytes = account.response_bytes.saturating_add(bytes as u64);
        }
        polled.map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl<P: Ports> http_body::Body for Body<P> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.kind {
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                if let Some(account) = &mut this.account {
                    account.response_bytes = account.response_bytes.saturating_add(bytes.len() as u64);
                }
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Kind::Broken => return Poll::Ready(Some(Err(BodyError::OriginBroke))),
            Kind::Stream(stream) => stream.poll(&mut this.account, cx),
            Kind::Events(events) => events.poll(&mut this.account, cx),
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.finish(End::Complete),
            // The origin's body goes at once; what is left says so to whoever asks again.
            Poll::Ready(Some(Err(_))) => {
                this.kind = Kind::Broken;
                this.finish(End::OriginBroke);
            }
            // A reader that knows the length may never ask for the end.
            Poll::Ready(Some(Ok(_))) => {
                if this.is_end_stream() {
                    this.finish(End::Complete);
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.ahead.is_empty() && stream.body.is_end_stream(),
            Kind::Events(_) | Kind::Broken => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) if stream.ahead.is_empty() => stream.body.size_hint(),
            Kind::Stream(_) | Kind::Events(_) | Kind::Broken => SizeHint::default(),
        }
    }
}

impl<P: Ports> Drop for Body<P> {
    fn drop(&mut self) {
        let end = if self.is_end_stream() { End::Complete } else { End::ClientLeft };
        self.finish(end);
    }
}

// INVARIANT: nothing in a body is pinned in place; what it polls is `Unpin` by the bounds of `Ports`.
impl<P: Ports> Unpin for Body<P> {}

impl<P: Ports> std::fmt::Debug for Body<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
