//! RESP, the protocol of Redis, as bytes in and bytes out. It opens no socket.
//!
//! [`encode`] writes a command; a [`Decoder`] is fed what arrives and yields whole [`Reply`]s; [`row`] turns the reply to
//! a batch into its cells.

mod decode;
#[cfg(test)]
mod tests;

use alloc::{string::String, vec::Vec};
use bytes::Bytes;

use super::{Cell, StoreError};
pub use decode::{Decoder, RespLimits};

/// One value of RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `$-1`, `*-1` or `_`.
    Nil,
    /// `+`: a status line.
    Status(Bytes),
    /// `-` or `!`: an error; its first word is its class.
    Error(Bytes),
    /// `:`.
    Int(i64),
    /// `$` or `=` (whose three-letter type is dropped).
    Bulk(Bytes),
    /// `#`.
    Bool(bool),
    /// `,`.
    Double(f64),
    /// `(`: digits.
    BigNumber(Bytes),
    /// `*` or `~`.
    Array(Vec<Self>),
    /// `%`.
    Map(Vec<(Self, Self)>),
    /// `>`: said unasked, answers nothing.
    Push(Vec<Self>),
}

/// Bytes that are not RESP, pass its limits, or are not what was asked for. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespError {
    /// A reply began with a byte that starts none.
    #[error("unknown type byte {0:#04x}")]
    UnknownType(u8),
    /// A length, integer, double or truth value did not parse.
    #[error("malformed number")]
    BadNumber,
    /// A line or bulk did not end with CR LF.
    #[error("missing line end")]
    MissingLineEnd,
    /// A line was longer than allowed.
    #[error("line too long")]
    LineTooLong,
    /// A bulk string was longer than allowed.
    #[error("bulk string too long")]
    BulkTooLong,
    /// An aggregate had more elements than allowed.
    #[error("too many elements")]
    TooManyElements,
    /// Aggregates were nested deeper than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// The reply was not a flat row of nil, integers and strings.
    #[error("not a flat row")]
    NotARow,
    /// The row had another number of cells.
    #[error("a row of {got} cells where {expected} were asked for")]
    WrongWidth {
        /// Cells asked for.
        expected: usize,
        /// Cells that came.
        got: usize,
    },
    /// A word of a command is not UTF-8, which JSON cannot carry.
    #[error("a word that is not text")]
    NotText,
    /// An answer over HTTP was not the JSON that was asked for.
    #[error("malformed JSON")]
    BadJson,
    /// A string in it was not in base64, as if the endpoint did not know `Upstash-Encoding`.
    #[error("a string that is not in base64")]
    BadBase64,
    /// An answer came that no command had asked for.
    #[error("an answer without a question")]
    Unasked,
}

/// Appends a command: an array of bulk strings.
pub fn encode<T: AsRef<[u8]>>(args: &[T], out: &mut Vec<u8>) {
    head(b'*', args.len(), out);
    for arg in args {
        bulk(arg.as_ref(), out);
    }
}

/// Appends a type byte, a length and CR LF.
pub(super) fn head(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a bulk string.
pub(super) fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    head(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The cells of a reply to a batch of this width.
///
/// # Errors
/// The server's error, or [`StoreError::Protocol`] where the reply is not a flat row of `width` cells.
pub fn row(reply: Reply, width: usize) -> Result<Vec<Cell>, StoreError> {
    match reply {
        Reply::Error(line) => Err(StoreError::from_server(&line)),
        Reply::Array(items) if items.len() == width => {
            items.into_iter().map(|item| cell(item).ok_or(RespError::NotARow.into())).collect()
        }
        Reply::Array(items) => Err(RespError::WrongWidth { expected: width, got: items.len() }.into()),
        _ => Err(RespError::NotARow.into()),
    }
}

fn cell(reply: Reply) -> Option<Cell> {
    match reply {
        Reply::Nil | Reply::Bool(false) => Some(Cell::Nil),
        Reply::Bool(true) => Some(Cell::Int(1)),
        Reply::Int(value) => Some(Cell::Int(value)),
        Reply::Bulk(value) | Reply::Status(value) => Some(Cell::Bytes(value)),
        _ => None,
    }
}

impl Reply {
    /// The text of a status, bulk string or error; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Status(text) | Self::Bulk(text) | Self::Error(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            _ => None,
        }
    }
}
