//! Bodies with limits: what a request may send, and what an answer holds while it is sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, EXPECT},
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// Memory that all bodies together may take up, counted in KiB.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A share of it, given back when dropped.
pub(super) type Share = OwnedSemaphorePermit;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is longer than allowed.
    TooLong,
    /// All memory for bodies is in use.
    NoMemory,
    /// Nothing came for too long.
    TooSlow,
    /// The client broke it off.
    Broken,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes >> 10).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// A share for so many bytes, if there is one.
    pub(super) fn take(&self, bytes: usize) -> Option<Share> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(kib).ok()
    }
}

/// Reads a whole body of at most `limit` bytes. The rest of one that is too long is read and dropped in the background,
/// so that the client comes to read the answer.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: usize,
    budget: &Budget,
) -> Result<(Bytes, Option<Share>), Unread> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        // Who waits to be told to go on never sends it.
        if !headers.contains_key(EXPECT) {
            drop(tokio::task::spawn_local(discard(body)));
        }
        return Err(Unread::TooLong);
    }
    let mut share = budget.take(announced).ok_or(Unread::NoMemory)?;
    let mut whole = Whole::None;
    loop {
        let frame = match timeout(FRAME_TIMEOUT, body.frame()).await {
            Err(_) => return Err(Unread::TooSlow),
            Ok(None) => return Ok((whole.done(), Some(share))),
            Ok(Some(Err(_))) => return Err(Unread::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > limit {
            drop(tokio::task::spawn_local(discard(body)));
            return Err(Unread::TooLong);
        }
        let held = share.num_permits() << 10;
        if length > held {
            share.merge(budget.take((length - held).max(MORE_BYTES)).ok_or(Unread::NoMemory)?);
        }
        whole.push(data, announced);
    }
}

/// A body so far; one that came in one piece is not copied.
enum Whole {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(bytes) => bytes.len(),
            Self::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, data: Bytes, announced: usize) {
        match self {
            Self::None => *self = Self::One(data),
            Self::One(first) => {
                let mut bytes = BytesMut::with_capacity(announced.max(first.len() + data.len()));
                bytes.extend_from_slice(first);
                bytes.extend_from_slice(&data);
                *self = Self::Many(bytes);
            }
            Self::Many(bytes) => bytes.extend_from_slice(&data),
        }
    }

    fn done(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

async fn discard(mut body: Incoming) {
    let (mut left, end) = (DISCARD_BYTES, Instant::now() + DISCARD_TIME);
    while let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

/// The body of an answer.
pub(super) enum Body {
    /// All of it, with its share of the memory if it is large.
    Whole {
        /// What is still to be sent.
        bytes: Option<Bytes>,
        /// Held until it is.
        _share: Option<Share>,
    },
    /// Events as they come.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl Body {
    /// A JSON answer.
    pub(super) fn response(status: StatusCode, json: Vec<u8>, share: Option<Share>) -> Response<Self> {
        let mut response = Response::new(Self::Whole { bytes: Some(json.into()), _share: share });
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole { bytes, .. } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(events) => {
                events.as_mut().poll_next(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole { bytes: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { bytes, .. } => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// What is taken at a time for a body of unknown length.
const MORE_BYTES: usize = 64 << 10;

/// Between two pieces of a body.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read and dropped of a body that is too long, at most.
const DISCARD_BYTES: usize = 256 << 20;

/// How long that may take, at most.
const DISCARD_TIME: Duration = Duration::from_secs(30);
