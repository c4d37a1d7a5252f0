//! An origin's response body, which holds the connection it comes over: at its end the connection goes back to the
//! pool, before its end it is closed, and so the origin learns that nobody listens.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::{Lease, Origin, RequestBody};

/// The body.
pub struct OriginBody<B = Incoming> {
    incoming: Incoming,
    /// None over HTTP/2, where dropping the body resets the stream.
    lease: Option<(Rc<Origin<B>>, Lease<B>)>,
}

impl<B: RequestBody> OriginBody<B> {
    pub(super) fn new(incoming: Incoming, lease: Option<(Rc<Origin<B>>, Lease<B>)>) -> Self {
        let mut body = Self { incoming, lease };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((origin, lease)) = self.lease.take() {
            origin.give_back(lease);
        }
    }
}

impl<B: RequestBody> Body for OriginBody<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.lease = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
