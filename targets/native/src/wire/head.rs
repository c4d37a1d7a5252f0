//! Is a request's head unambiguous? Stricter than the parser behind it, which repairs what it can: what is repaired in one way
//! here and in another way at the origin is a smuggled request (RFC 9112 §11.2).

use memchr::memchr;

/// How the bytes after a head are framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The body.
    pub body: BodyFraming,
    /// Whether the connection may change its protocol afterwards.
    pub upgrade: bool,
}

/// The body's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// 400, with the reason for the client.
    Malformed(&'static str),
    /// 431.
    TooLarge,
}

/// How far a head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No end yet.
    More,
    /// It ends before this offset.
    Complete(usize, Framing),
}

/// Reads one head, line by line, as its bytes arrive.
#[derive(Debug, Default)]
pub struct HeadScan {
    /// Where the first unread line begins.
    line: usize,
    /// Bytes of that line that hold no LF.
    searched: usize,
    fields: u32,
    seen_request_line: bool,
    http_10: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl HeadScan {
    /// Goes on with `bytes`, which begin where the head begins and hold at least what they held before.
    ///
    /// # Errors
    /// The first violation in the order of bytes, however they were split.
    pub fn advance(&mut self, bytes: &[u8], max: usize) -> Result<Progress, Violation> {
        loop {
            let rest = bytes.get(self.line..).unwrap_or_default();
            let unread = rest.get(self.searched..).unwrap_or_default();
            let Some(found) = memchr(b'\n', unread) else {
                self.searched = rest.len();
                return if bytes.len() > max { Err(Violation::TooLarge) } else { Ok(Progress::More) };
            };
            let length = self.searched + found;
            let next = self.line + length + 1;
            if next > max {
                return Err(Violation::TooLarge);
            }
            let line = rest.get(..length).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Violation::Malformed("a line of the head ends without CR; send CRLF"));
            };
            self.line = next;
            self.searched = 0;
            if !self.seen_request_line {
                self.request_line(line)?;
                self.seen_request_line = true;
            } else if line.is_empty() {
                return Ok(Progress::Complete(next, self.framing()?));
            } else {
                self.field(line)?;
            }
        }
    }

    /// Whether nothing of a head has come yet.
    pub fn is_fresh(&self) -> bool {
        !self.seen_request_line && self.searched == 0
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Violation> {
        let malformed = Violation::Malformed("the request line is malformed");
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || method == RESERVED_METHOD {
            return Err(malformed);
        }
        if method == b"CONNECT" {
            return Err(Violation::Malformed("this is no forward proxy; `CONNECT` is not served"));
        }
        self.http_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Violation::Malformed("the protocol version is not HTTP/1.0 or HTTP/1.1")),
        };
        if is_target(target) { Ok(()) } else { Err(Violation::Malformed("the request target is malformed")) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Violation::TooLarge);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Violation::Malformed("a header field is folded; send it on one line"));
        }
        let Some(colon) = memchr(b':', line) else {
            return Err(Violation::Malformed("a header line has no colon"));
        };
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Violation::Malformed("a header name holds a character that is not allowed"));
        }
        let value = value.get(1..).unwrap_or_default();
        if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(Violation::Malformed("a header value holds a control character"));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host()?,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value.trim_ascii())?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn host(&mut self) -> Result<(), Violation> {
        let again = std::mem::replace(&mut self.host, true);
        if again { Err(Violation::Malformed("more than one `Host`")) } else { Ok(()) }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        let again = std::mem::replace(&mut self.chunked, true);
        if again || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::Malformed("`Transfer-Encoding` is not exactly `chunked`"));
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.length.is_some() {
            return Err(Violation::Malformed("more than one `Content-Length`"));
        }
        let malformed = Violation::Malformed("`Content-Length` is not a number of bytes");
        if value.is_empty() || value.len() > MAX_LENGTH_DIGITS || !value.iter().all(u8::is_ascii_digit) {
            return Err(malformed);
        }
        let length = value.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
        self.length = Some(length);
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Violation> {
        if !self.host && !self.http_10 {
            return Err(Violation::Malformed("`Host` is missing"));
        }
        if self.chunked && self.http_10 {
            return Err(Violation::Malformed("HTTP/1.0 has no `Transfer-Encoding`"));
        }
        let body = match (self.chunked, self.length) {
            (true, Some(_)) => {
                return Err(Violation::Malformed("both `Content-Length` and `Transfer-Encoding`"));
            }
            (true, None) => BodyFraming::Chunked,
            (false, length) => BodyFraming::Length(length.unwrap_or(0)),
        };
        Ok(Framing { body, upgrade: self.upgrade && !self.http_10 })
    }
}

/// RFC 9110 §5.6.2. Looked up: it is asked of every byte of every name.
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const fn is_tchar(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || byte.is_ascii_alphanumeric()
}

/// Whether the parser behind will take a target as it stands. It drops fragments in silence, so none may be there.
fn is_target(target: &[u8]) -> bool {
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'-' | b'_' | b'.' | b'~' | b'%' | b'?' | b'&' | b'=' | b'+' | b',' | b':' | b'@'
            )
    };
    if target.first() == Some(&b'/') && target.iter().all(plain) {
        return true;
    }
    let visible = |byte: &u8| (0x21..0x7f).contains(byte) && *byte != b'#';
    target.iter().all(visible)
        && http::Uri::try_from(target)
            .is_ok_and(|uri| target == b"*" || target.first() == Some(&b'/') || uri.scheme().is_some())
}

/// [`is_tchar`] of each byte.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = is_tchar(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// What stands in for a head that was refused. No client can send this method: the scan refuses it.
pub const RESERVED_METHOD: &[u8] = b"!";

/// Fields per head; the parser's own limit.
const MAX_FIELDS: u32 = 100;

/// Digits that fit into 63 bits whatever they are.
const MAX_LENGTH_DIGITS: usize = 18;
