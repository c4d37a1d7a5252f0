//! The reader that lets nothing ambiguous through.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    chunks::{ChunkEnd, ChunkScan},
    head::{BodyFraming, Framing, HeadScan, Progress, Violation},
    watch::{Upgrade, Watch},
};

/// A client's connection.
#[derive(Debug)]
pub struct Wire<IO> {
    io: IO,
    watch: Arc<Watch>,
    max_head: usize,
    mode: Mode,
    /// Bytes that were read and could not be handed over yet.
    held: BytesMut,
    /// How many of them were found good.
    good: usize,
    blank_lines: u8,
    shut: bool,
    /// Bytes thrown away while the client is given time to read the answer.
    discarded: usize,
}

/// What is expected next.
#[derive(Debug)]
enum Mode {
    Head(HeadScan),
    Length {
        left: u64,
        upgrade: bool,
    },
    Chunked {
        scan: ChunkScan,
        upgrade: bool,
    },
    /// The request asked for another protocol; its answer decides what the bytes behind it are.
    Settling,
    /// No HTTP/1: nothing is looked at.
    Raw,
    /// A bad head: the synthetic one is in `held`, what follows is thrown away.
    Refused,
    /// A bad chunk.
    Broken,
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x.
    Http1,
    /// HTTP/2, by prior knowledge or ALPN.
    Http2,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// Wraps a transport; heads may have `max_head` bytes.
    pub fn new(io: IO, watch: Arc<Watch>, max_head: usize) -> Self {
        Self {
            io,
            watch,
            max_head,
            mode: Mode::Head(HeadScan::default()),
            held: BytesMut::new(),
            good: 0,
            blank_lines: 0,
            shut: false,
            discarded: 0,
        }
    }

    /// Lets everything through from here on.
    pub fn pass_through(&mut self) {
        self.mode = Mode::Raw;
        self.good = self.held.len();
    }

    /// Reads until it is clear what the client speaks (RFC 9113 §3.3).
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn protocol(&mut self) -> io::Result<Protocol> {
        loop {
            let read = poll_fn(|cx| self.poll_fill(cx)).await?;
            let compared = self.held.len().min(PREFACE.len());
            let same = self.held.get(..compared) == PREFACE.get(..compared);
            if same && compared == PREFACE.len() {
                self.pass_through();
                return Ok(Protocol::Http2);
            }
            if !same || read == 0 {
                self.rescan();
                return Ok(Protocol::Http1);
            }
            self.watch.set_in_head(true);
        }
    }

    /// Reads into `held`. 0: the client has closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            self.held.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Reads in `Head` or `Chunked` with nothing held: good bytes go straight to `out`.
    fn poll_fresh(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            let good = self.scan(read);
            let (now, later) = read.split_at(good.min(out.remaining()));
            out.put_slice(now);
            self.held.extend_from_slice(later);
            self.good = good - now.len();
            self.finish_scan();
            Poll::Ready(Ok(read.is_empty() || !now.is_empty()))
        })
    }

    /// Looks at what is held and not yet found good.
    fn rescan(&mut self) {
        let held = std::mem::take(&mut self.held);
        let good = self.scan(held.get(self.good..).unwrap_or_default());
        self.held = held;
        self.good += good;
        self.finish_scan();
    }

    /// Puts the stand-in for a refused head behind what was good.
    fn finish_scan(&mut self) {
        if matches!(self.mode, Mode::Refused) && self.watch.violation().is_some() && self.discarded == 0 {
            let origin = origin(self.held.get(self.good..).unwrap_or_default()).map(<[u8]>::to_vec);
            self.held.truncate(self.good);
            self.held.extend_from_slice(STAND_IN);
            if let Some(origin) = origin {
                // Whether a page may read the refusal depends on it.
                self.held.truncate(self.held.len() - 2);
                self.held.extend_from_slice(b"Origin: ");
                self.held.extend_from_slice(&origin);
                self.held.extend_from_slice(b"\r\n\r\n");
            }
            self.good = self.held.len();
            self.discarded = 1;
        }
    }

    /// How many of the bytes may be handed over.
    fn scan(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.mode {
                Mode::Head(scan) => {
                    if scan.is_fresh() && rest.starts_with(b"\r\n") && self.blank_lines < MAX_BLANK_LINES {
                        self.blank_lines += 1;
                        at += 2;
                        continue;
                    }
                    if scan.is_fresh() && rest == b"\r" {
                        break;
                    }
                    match scan.advance(rest, self.max_head) {
                        Ok(Progress::Complete(end, framing)) => {
                            at += end;
                            self.begin_body(framing);
                        }
                        Ok(Progress::More) => {
                            self.watch.set_in_head(true);
                            break;
                        }
                        Err(violation) => {
                            self.refuse(violation);
                            break;
                        }
                    }
                }
                Mode::Length { left, upgrade } => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= step as u64;
                    at += step;
                    if *left == 0 {
                        let upgrade = *upgrade;
                        self.end_body(upgrade);
                    }
                }
                Mode::Chunked { scan, upgrade } => {
                    let (used, end) = scan.advance(rest);
                    at += used;
                    match end {
                        ChunkEnd::More => {}
                        ChunkEnd::Bad => self.mode = Mode::Broken,
                        ChunkEnd::Ended => {
                            let upgrade = *upgrade;
                            self.end_body(upgrade);
                        }
                    }
                }
                Mode::Raw => at = bytes.len(),
                Mode::Settling | Mode::Refused | Mode::Broken => break,
            }
        }
        at
    }

    fn begin_body(&mut self, framing: Framing) {
        self.blank_lines = 0;
        self.watch.set_in_head(false);
        self.watch.moved();
        if framing.upgrade {
            self.watch.open_upgrade();
        }
        match framing.body {
            BodyFraming::Length(0) => self.end_body(framing.upgrade),
            BodyFraming::Length(left) => self.mode = Mode::Length { left, upgrade: framing.upgrade },
            BodyFraming::Chunked => {
                self.mode = Mode::Chunked { scan: ChunkScan::default(), upgrade: framing.upgrade };
            }
        }
    }

    fn end_body(&mut self, upgrade: bool) {
        self.mode = if upgrade { Mode::Settling } else { Mode::Head(HeadScan::default()) };
    }

    fn refuse(&mut self, violation: Violation) {
        self.watch.set_in_head(false);
        self.watch.violate(violation);
        self.mode = Mode::Refused;
    }

    /// Body bytes whose framing is known go from the transport to the reader without being looked at.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        most: u64,
    ) -> Poll<io::Result<()>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        out.advance(read);
        match &mut self.mode {
            Mode::Length { left, upgrade } => {
                *left = left.saturating_sub(read as u64);
                if *left == 0 {
                    let upgrade = *upgrade;
                    self.end_body(upgrade);
                }
            }
            Mode::Chunked { scan, .. } => scan.skip(read as u64),
            _ => {}
        }
        Poll::Ready(Ok(()))
    }

    /// Throws away what the client still sends, so that closing does not destroy the answer on its way. Ready at the
    /// client's end.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() && self.discarded < MAX_DISCARDED => {
                        self.discarded = self.discarded.saturating_add(buffer.filled().len());
                    }
                    _ => return Poll::Ready(()),
                }
            }
        })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.good > 0 {
                let now = this.good.min(out.remaining());
                out.put_slice(this.held.get(..now).unwrap_or_default());
                this.held.advance(now);
                this.good -= now;
                if this.held.is_empty() {
                    // An idle connection holds no buffer.
                    this.held = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            match &this.mode {
                Mode::Raw => return Pin::new(&mut this.io).poll_read(cx, out),
                Mode::Broken => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "malformed chunk")));
                }
                // The answer to the stand-in ends the connection; its end is not to be mistaken for the client's.
                Mode::Refused => {
                    let _ = this.poll_discard(cx);
                    return Poll::Pending;
                }
                Mode::Settling => match this.watch.upgrade() {
                    Upgrade::Granted => this.pass_through(),
                    Upgrade::Refused => {
                        this.end_body(false);
                        this.rescan();
                    }
                    Upgrade::Open => {
                        this.watch.await_upgrade(cx);
                        if this.held.len() >= MAX_EARLY {
                            return Poll::Pending;
                        }
                        if ready!(this.poll_fill(cx))? == 0 {
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
                Mode::Length { left, .. } if this.held.is_empty() => {
                    let left = *left;
                    return this.poll_direct(cx, out, left);
                }
                Mode::Chunked { scan, .. } if this.held.is_empty() && scan.free() > 0 => {
                    let free = scan.free();
                    return this.poll_direct(cx, out, free);
                }
                _ if this.held.is_empty() => {
                    if ready!(this.poll_fresh(cx, out))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                _ => {
                    if ready!(this.poll_fill(cx))? == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    this.rescan();
                }
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.watch.set_stuck(written.is_pending());
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        this.watch.set_stuck(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.shut = true;
        }
        match this.mode {
            Mode::Refused | Mode::Broken | Mode::Length { .. } | Mode::Chunked { .. } => {
                this.watch.set_lingering();
                this.poll_discard(cx).map(Ok)
            }
            Mode::Head(_) | Mode::Settling | Mode::Raw => Poll::Ready(Ok(())),
        }
    }
}

thread_local! {
    /// Where heads are read to before anybody knows whose memory they need.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into_boxed_slice());
}

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Stands for a refused head; see [`super::head::RESERVED_METHOD`].
const STAND_IN: &[u8] = b"! / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// Empty lines tolerated before a request line (RFC 9112 §2.2).
const MAX_BLANK_LINES: u8 = 4;

/// Bytes held of a client that talks on before its upgrade is granted.
const MAX_EARLY: usize = 64 * 1024;

/// Bytes thrown away for a client that was refused and sends on.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

/// The `Origin` of a head that is refused, if one line says it and it is plain text.
fn origin(head: &[u8]) -> Option<&[u8]> {
    let mut found = head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let (name, value) = line.split_at_checked(7)?;
        name.eq_ignore_ascii_case(b"origin:").then(|| value.trim_ascii())
    });
    let plain = |value: &&[u8]| value.len() <= MAX_ORIGIN && value.iter().all(u8::is_ascii_graphic);
    found.next().filter(plain).filter(|_| found.next().is_none())
}

/// Bytes of an `Origin`; a name of a host has at most 253.
const MAX_ORIGIN: usize = 300;
