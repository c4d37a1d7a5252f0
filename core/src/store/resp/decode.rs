//! The incremental decoder. Every byte is looked at once, however small the pieces it comes in.

use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

use super::{Reply, RespError};

/// What a reply may take up.
#[derive(Clone, Copy, Debug)]
pub struct RespLimits {
    /// Nested aggregates.
    pub depth: usize,
    /// Bytes of one bulk string.
    pub bulk: usize,
    /// Bytes of one line (status, error, number).
    pub line: usize,
    /// Elements of one whole reply, nested ones included.
    pub elements: usize,
}

/// Turns arriving bytes into replies. After an error it yields nothing more: close the connection.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: RespLimits,
    buffer: BytesMut,
    /// Bytes at the start of `buffer` known to hold no line end.
    scanned: usize,
    /// Length and kind of a bulk string whose head was read.
    awaited: Option<(usize, u8)>,
    /// Aggregates under construction, outermost first.
    open: Vec<Open>,
    /// Elements announced so far by the reply under construction.
    elements: usize,
    failed: bool,
}

/// An aggregate whose elements are still coming.
#[derive(Debug)]
struct Open {
    kind: u8,
    missing: usize,
    items: Vec<Reply>,
}

/// What stood at the front of the buffer.
enum Token {
    Value(Reply),
    Open(Open),
    /// An attribute or the like: belongs to the value that follows, means nothing here.
    Wait,
}

/// What a line without text of its own says.
enum Read {
    Value(Reply),
    /// The length of what follows.
    Length(i64),
}

impl Default for RespLimits {
    /// Far above any answer to a batch, far below what would hurt.
    fn default() -> Self {
        Self { depth: 8, bulk: 64 << 20, line: 64 << 10, elements: 1 << 20 }
    }
}

impl Decoder {
    /// A decoder with limits of its own.
    pub fn new(limits: RespLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes what has arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The buffer to read into directly, instead of [`feed`](Self::feed): append to it only.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole reply; none until more has arrived.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that ends would not go on after more bytes arrive"
    )]
    pub fn next(&mut self) -> Option<Result<Reply, RespError>> {
        if self.failed {
            return None;
        }
        let result = self.advance();
        if result.is_err() {
            self.failed = true;
            self.buffer = BytesMut::new();
            self.open = Vec::new();
        }
        result.transpose()
    }

    fn advance(&mut self) -> Result<Option<Reply>, RespError> {
        loop {
            let token = match self.awaited {
                Some((length, kind)) => self.bulk_body(length, kind)?,
                None => self.line_token()?,
            };
            match token {
                None => return Ok(None),
                Some(Token::Wait) => {}
                Some(Token::Open(open)) if open.missing > 0 => {
                    if self.open.len() >= self.limits.depth {
                        return Err(RespError::TooDeep);
                    }
                    self.open.push(open);
                }
                Some(Token::Open(open)) => {
                    if let Some(reply) = self.place(open.close()) {
                        return Ok(Some(reply));
                    }
                }
                Some(Token::Value(value)) => {
                    if let Some(reply) = self.place(Some(value)) {
                        return Ok(Some(reply));
                    }
                }
            }
        }
    }

    /// Puts a finished value where it belongs; yields it if that is the top.
    fn place(&mut self, mut value: Option<Reply>) -> Option<Reply> {
        loop {
            let Some(mut open) = self.open.pop() else {
                if value.is_some() {
                    self.elements = 0;
                }
                return value;
            };
            // A closed attribute yields no value: its place in the parent is still to be filled.
            let Some(item) = value else {
                self.open.push(open);
                return None;
            };
            open.items.push(item);
            open.missing = open.missing.saturating_sub(1);
            if open.missing > 0 {
                self.open.push(open);
                return None;
            }
            value = open.close();
        }
    }

    fn bulk_body(&mut self, length: usize, kind: u8) -> Result<Option<Token>, RespError> {
        let whole = length.saturating_add(2);
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut body = self.buffer.split_to(whole).freeze();
        if !body.ends_with(b"\r\n") {
            return Err(RespError::MissingLineEnd);
        }
        body.truncate(length);
        self.awaited = None;
        if kind == b'=' && body.len() >= 4 {
            body.advance(4);
        }
        Ok(Some(Token::Value(if kind == b'!' { Reply::Error(body) } else { Reply::Bulk(body) })))
    }

    /// The length of the line at the front, without its end; none until that is there.
    fn line(&mut self) -> Result<Option<usize>, RespError> {
        let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(at) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.buffer.len();
            return if self.scanned > self.limits.line { Err(RespError::LineTooLong) } else { Ok(None) };
        };
        let end = self.scanned + at;
        self.scanned = 0;
        if end > self.limits.line {
            return Err(RespError::LineTooLong);
        }
        let length = end.checked_sub(1).filter(|at| self.buffer.get(*at) == Some(&b'\r'));
        length.map(Some).ok_or(RespError::MissingLineEnd)
    }

    /// Takes the line at the front, which is so long, without its type byte and its end.
    fn take_line(&mut self, length: usize) -> Bytes {
        let mut line = self.buffer.split_to(length).freeze();
        line.advance(1);
        self.buffer.advance(2);
        line
    }

    fn line_token(&mut self) -> Result<Option<Token>, RespError> {
        // Refuse at the first byte: a peer that speaks something else may never send a line end.
        if let Some(kind) = self.buffer.first().filter(|kind| !b"+-:$*_#,(=!%~>|".contains(kind)) {
            return Err(RespError::UnknownType(*kind));
        }
        let Some(length) = self.line()? else {
            return Ok(None);
        };
        let Some((kind, line)) = self.buffer.get(..length).and_then(<[u8]>::split_first) else {
            return Err(RespError::MissingLineEnd);
        };
        let kind = *kind;
        // Numbers are read where they are: only text is worth a handle of its own.
        let value = match kind {
            b'+' => Reply::Status(self.take_line(length)),
            b'-' => Reply::Error(self.take_line(length)),
            b'(' => Reply::BigNumber(self.take_line(length)),
            _ => {
                let read = match kind {
                    b':' => Read::Value(Reply::Int(integer(line)?)),
                    b'_' => Read::Value(Reply::Nil),
                    b'#' => match line {
                        b"t" => Read::Value(Reply::Bool(true)),
                        b"f" => Read::Value(Reply::Bool(false)),
                        _ => return Err(RespError::BadNumber),
                    },
                    b',' => Read::Value(Reply::Double(double(line)?)),
                    _ => Read::Length(integer(line)?),
                };
                self.buffer.advance(length + 2);
                match read {
                    Read::Value(value) => value,
                    Read::Length(length) => return self.counted(kind, length),
                }
            }
        };
        Ok(Some(Token::Value(value)))
    }

    /// A type byte that is followed by a length.
    fn counted(&mut self, kind: u8, length: i64) -> Result<Option<Token>, RespError> {
        if length == -1 {
            return Ok(Some(Token::Value(Reply::Nil)));
        }
        let length = usize::try_from(length).map_err(|_| RespError::BadNumber)?;
        if matches!(kind, b'$' | b'=' | b'!') {
            if length > self.limits.bulk {
                return Err(RespError::BulkTooLong);
            }
            self.awaited = Some((length, kind));
            return Ok(Some(Token::Wait));
        }
        let missing = if matches!(kind, b'%' | b'|') { length.saturating_mul(2) } else { length };
        self.elements = self.elements.saturating_add(missing);
        if self.elements > self.limits.elements {
            return Err(RespError::TooManyElements);
        }
        // A length alone must not make us allocate: the elements may never come.
        Ok(Some(Token::Open(Open { kind, missing, items: Vec::with_capacity(missing.min(64)) })))
    }
}

impl Open {
    /// The finished aggregate; none for an attribute.
    fn close(self) -> Option<Reply> {
        Some(match self.kind {
            b'|' => return None,
            b'>' => Reply::Push(self.items),
            b'%' => {
                let mut pairs = Vec::with_capacity(self.items.len() / 2);
                let mut items = self.items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Reply::Map(pairs)
            }
            _ => Reply::Array(self.items),
        })
    }
}

/// A decimal integer with an optional sign, nothing else.
fn integer(text: &[u8]) -> Result<i64, RespError> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    // Below zero, where there is one number more.
    let add = |sum: i64, digit: &u8| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_sub(digit.into())
    };
    let sum = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty());
    let number = if is_negative { sum } else { sum.and_then(i64::checked_neg) };
    number.ok_or(RespError::BadNumber)
}

fn double(text: &[u8]) -> Result<f64, RespError> {
    core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(RespError::BadNumber)
}
