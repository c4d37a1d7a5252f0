//! Bytes read as a list of choices; when they run out, every choice is the first.

use bytes::Bytes;

/// What is left of the input.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of them, all alike.
    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()]
    }

    /// Small or as large as it gets.
    pub(crate) fn number(&mut self) -> i64 {
        match self.byte() {
            251 => i64::MIN,
            252 => i64::MAX,
            253 => i64::from(u32::MAX),
            254 => -1,
            255 => (0..8).fold(0, |number, _| number << 8 | i64::from(self.byte())),
            small => i64::from(small),
        }
    }

    /// A length, then so many bytes.
    pub(crate) fn bytes(&mut self) -> Bytes {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }

    /// Lines up to an empty one.
    pub(crate) fn paragraph(&mut self) -> Vec<&'a [u8]> {
        let mut lines = Vec::new();
        while !self.0.is_empty() {
            let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
            let line = &self.0[..end];
            self.0 = self.0.get(end + 1..).unwrap_or_default();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        lines
    }
}
