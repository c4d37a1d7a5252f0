//! Commands as JSON: `["SET","key",1]`, or an array of such arrays. Reads words only; knows no commands.
//!
//! Numbers keep the digits they came with, `true`, `false` and `null` become these words, and strings without escapes are
//! not copied. Arrays and objects are no words.

use bytes::Bytes;
use memchr::memchr2;

#[cfg(test)]
mod tests;

/// A command: its name and arguments.
pub(super) type Words = Vec<Bytes>;

/// Where a text stops being what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR malformed JSON at byte {at}: {what}")]
pub(super) struct Malformed {
    /// Offset of the first byte that does not fit.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) what: &'static str,
}

/// Reads one command.
pub(super) fn one(text: &Bytes) -> Result<Words, Malformed> {
    let mut reader = Reader { text, at: 0, words: 0 };
    let words = reader.words()?;
    reader.end()?;
    Ok(words)
}

/// Reads an array of commands.
pub(super) fn many(text: &Bytes) -> Result<Vec<Words>, Malformed> {
    let mut reader = Reader { text, at: 0, words: 0 };
    let mut commands = Vec::new();
    reader.array("an array of commands, each an array", |reader| {
        commands.push(reader.words()?);
        Ok(())
    })?;
    reader.end()?;
    Ok(commands)
}

struct Reader<'t> {
    text: &'t Bytes,
    at: usize,
    /// Words so far: a word takes more memory here than in the text.
    words: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Malformed> {
        Err(Malformed {
            at: self.at,
            what: if self.at >= self.text.len() { "it ends too early" } else { what },
        })
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { self.fail("something follows the array") }
    }

    fn array(
        &mut self,
        expected: &'static str,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.skip_space();
        if self.peek() != Some(b'[') {
            return Err(Malformed { at: self.at, what: expected });
        }
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return self.count();
        }
        loop {
            self.skip_space();
            element(self)?;
            self.count()?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.fail("expected `,` or `]`"),
            }
        }
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.words += 1;
        if self.words > MAX_WORDS { self.fail("too many words in one request") } else { Ok(()) }
    }

    fn words(&mut self) -> Result<Words, Malformed> {
        let mut words = Words::new();
        self.array("expected an array: the command's name and its arguments", |reader| {
            words.push(reader.word()?);
            Ok(())
        })?;
        Ok(words)
    }

    fn word(&mut self) -> Result<Bytes, Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'[' | b'{') => self.fail("an argument is a string, number, true, false or null"),
            _ => self.fail("expected a value"),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<Bytes, Malformed> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(Malformed { at: self.at, what: "expected a value" });
        }
        self.at += word.len();
        Ok(Bytes::from_static(word))
    }

    /// RFC 8259 §6.
    fn number(&mut self) -> Result<Bytes, Malformed> {
        let start = self.at;
        self.take(b"-");
        if !self.take(b"0") {
            self.digits()?;
        }
        if self.take(b".") {
            self.digits()?;
        }
        if self.take(b"eE") {
            self.take(b"+-");
            self.digits()?;
        }
        Ok(self.text.slice(start..self.at))
    }

    fn take(&mut self, any: &[u8]) -> bool {
        let fits = self.peek().is_some_and(|byte| any.contains(&byte));
        self.at += usize::from(fits);
        fits
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail("expected a digit");
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// RFC 8259 §7. An unpaired surrogate, which JavaScript can produce, becomes U+FFFD.
    fn string(&mut self) -> Result<Bytes, Malformed> {
        self.at += 1;
        let start = self.at;
        let mut copy: Option<Vec<u8>> = None;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                self.plain(rest)?;
                return Err(Malformed { at: self.text.len(), what: "it ends too early" });
            };
            let run = rest.get(..length).unwrap_or_default();
            self.plain(run)?;
            let run_start = self.at;
            self.at += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Ok(match copy {
                    None => self.text.slice(start..run_start + length),
                    Some(mut copy) => {
                        copy.extend_from_slice(run);
                        copy.into()
                    }
                });
            }
            let copy = copy.get_or_insert_default();
            copy.extend_from_slice(run);
            self.escape(copy)?;
        }
    }

    /// Characters that stand for themselves.
    fn plain(&self, run: &[u8]) -> Result<(), Malformed> {
        if let Some(place) = run.iter().position(|byte| *byte < b' ') {
            return Err(Malformed { at: self.at + place, what: "a control character must be escaped" });
        }
        match core::str::from_utf8(run) {
            Ok(_) => Ok(()),
            Err(error) => Err(Malformed { at: self.at + error.valid_up_to(), what: "it is not UTF-8" }),
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(out),
            _ => return self.fail("unknown escape"),
        };
        self.at += 1;
        push(out, character);
        Ok(())
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            push(out, char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(());
        }
        let mark = self.at;
        if self.take(b"\\") && self.peek() == Some(b'u') {
            let second = self.unit()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                push(out, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
        }
        // What follows is a character of its own.
        self.at = mark;
        push(out, char::REPLACEMENT_CHARACTER);
        Ok(())
    }

    /// `u` and four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Malformed> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.fail("expected four hexadecimal digits");
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

fn push(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Words, and arrays, of one request: with them a body of allowed size stays within a few times its size in memory.
const MAX_WORDS: usize = 1 << 18;
