//! Where a chunked body ends (RFC 9112 §7.1), strictly: every size line and trailer ends in CRLF.

/// Follows one chunked body.
#[derive(Debug, Default)]
pub struct ChunkScan {
    state: State,
    /// Bytes of the current line so far.
    line: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In a size line; digits so far and whether an extension has begun.
    #[default]
    Start,
    Size(u64, u8),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// Where reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkEnd {
    /// At the end of the bytes.
    More,
    /// At the end of the body.
    Ended,
    /// Before a byte that does not belong there: a size that is none, a line that does not end in CRLF, too long
    /// an extension or trailer.
    Bad,
}

struct BadChunk;

impl ChunkScan {
    /// Bytes of chunk data that may come next and need no look.
    pub fn free(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            _ => 0,
        }
    }

    /// So many of the [`ChunkScan::free`] bytes went by.
    pub fn skip(&mut self, bytes: u64) {
        if let State::Data(left) = self.state {
            self.state = match left.saturating_sub(bytes) {
                0 => State::DataCr,
                left => State::Data(left),
            };
        }
    }

    /// Reads on; returns how many of the bytes belong to this body, and why no more do.
    pub fn advance(&mut self, bytes: &[u8]) -> (usize, ChunkEnd) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let State::Data(left) = self.state {
                let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                self.skip(step as u64);
                at += step;
                continue;
            }
            if self.state == State::Trailer {
                // Trailers are the parser's to read; only their lines matter here.
                let line =
                    rest.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)).unwrap_or(rest.len());
                let step = line.min(MAX_TRAILERS - self.trailers);
                self.trailers += step;
                at += step;
                match rest.get(step) {
                    None => {}
                    Some(b'\r') => {
                        self.state = State::TrailerLf;
                        at += 1;
                    }
                    Some(_) => return (at, ChunkEnd::Bad),
                }
                continue;
            }
            let Some(byte) = rest.first() else { break };
            let Ok(next) = self.step(*byte) else { return (at, ChunkEnd::Bad) };
            self.state = next;
            at += 1;
            if self.state == State::End {
                return (at, ChunkEnd::Ended);
            }
        }
        (at, ChunkEnd::More)
    }

    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Ok(match (self.state, byte) {
            (State::Start, _) => {
                self.line = 0;
                State::Size(digit.ok_or(BadChunk)?, 1)
            }
            (State::Size(size, _), b'\r') | (State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(size, _), b';') => State::Extension(size),
            (State::Size(size, digits), _) if digits < MAX_SIZE_DIGITS => {
                State::Size(size * 16 + digit.ok_or(BadChunk)?, digits + 1)
            }
            (State::Extension(size), b'\t' | b' '..=b'~' | 0x80..) if self.line < MAX_EXTENSION => {
                self.line += 1;
                State::Extension(size)
            }
            (State::SizeLf(0), b'\n') => State::TrailerStart,
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart, byte) if super::head::is_token(byte) => State::Trailer,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            _ => return Err(BadChunk),
        })
    }
}

/// Hexadecimal digits of a chunk's size that cannot overflow.
const MAX_SIZE_DIGITS: u8 = 15;

/// Bytes of extensions on one size line; nobody uses any.
const MAX_EXTENSION: usize = 256;

/// Bytes of all trailers.
const MAX_TRAILERS: usize = 8 * 1024;
