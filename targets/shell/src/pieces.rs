//! Bytes that wait in order, as the pieces they came in. Small ones are joined, so that a body that came byte by byte costs
//! little more memory than its bytes, and each piece is handed over once: nothing is moved to take the first.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// What waits. Who fills it bounds it.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    ready: VecDeque<Bytes>,
    /// The small ones that came last.
    open: BytesMut,
    /// Bytes in all.
    len: u64,
}

impl Pieces {
    /// Adds to the end. Pieces of some size are shared, not copied.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.len = self.len.saturating_add(piece.len() as u64);
        if piece.len() < SMALL {
            self.open.extend_from_slice(&piece);
            if self.open.len() >= JOINED {
                self.close();
            }
            return;
        }
        self.close();
        self.ready.push_back(piece);
    }

    /// Takes from the front.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.close();
        }
        let piece = self.ready.pop_front()?;
        self.len = self.len.saturating_sub(piece.len() as u64);
        Some(piece)
    }

    /// Adds all of another to the end.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.close();
        other.close();
        self.ready.append(&mut other.ready);
        self.len = self.len.saturating_add(other.len);
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of the first bytes, at most so many.
    pub(crate) fn first(&self, max: usize) -> Vec<u8> {
        let pieces = self.ready.iter().map(AsRef::as_ref).chain([self.open.as_ref()]);
        let mut first = Vec::new();
        for piece in pieces {
            let missing = max.saturating_sub(first.len());
            first.extend(piece.iter().take(missing));
        }
        first
    }

    /// All of it in one; without a copy where it is one piece already.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        self.close();
        if self.ready.len() <= 1 {
            return self.ready.pop_front().unwrap_or_default();
        }
        Vec::from(self.ready).concat().into()
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.ready.push_back(self.open.split().freeze());
        }
    }
}

/// Below it a piece is copied: sharing it would hold on to a whole buffer that it is a small part of.
const SMALL: usize = 1 << 10;
/// Small ones are joined up to about here.
const JOINED: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_came_byte_by_byte_is_few_pieces() {
        let mut pieces = Pieces::default();
        for byte in 0..100_000_u32 {
            pieces.push(Bytes::copy_from_slice(&byte.to_le_bytes()[..1]));
        }
        assert_eq!(pieces.len(), 100_000);
        let mut taken = Vec::new();
        let mut count = 0;
        while let Some(piece) = pieces.pop() {
            taken.extend_from_slice(&piece);
            count += 1;
        }
        assert!(count <= 100_000 / JOINED + 1, "{count} pieces");
        assert!(taken.iter().enumerate().all(|(at, byte)| *byte == at.to_le_bytes()[0]));
        assert!(pieces.is_empty());
    }

    #[test]
    fn pieces_keep_their_order_and_large_ones_are_shared() {
        let large = Bytes::from(vec![b'l'; SMALL]);
        let mut pieces = Pieces::default();
        pieces.push(Bytes::from_static(b"a"));
        pieces.push(Bytes::from_static(b"b"));
        pieces.push(large.clone());
        pieces.push(Bytes::from_static(b"c"));
        let mut more = Pieces::default();
        more.push(Bytes::from_static(b"d"));
        pieces.append(more);
        assert_eq!(pieces.len(), 4 + SMALL as u64);
        assert_eq!(pieces.first(4), b"abll");
        assert_eq!(pieces.first(usize::MAX).len() as u64, pieces.len());
        assert_eq!(pieces.pop().as_deref(), Some(&b"ab"[..]));
        assert_eq!(pieces.pop().map(|piece| piece.as_ptr()), Some(large.as_ptr()));
        assert_eq!(pieces.into_bytes(), Bytes::from_static(b"cd"));
    }
}
