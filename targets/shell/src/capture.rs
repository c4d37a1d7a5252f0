//! Keeps the first bytes of a body while it streams by, or gives up once it is longer than was asked for.

use bytes::{Bytes, BytesMut};

/// At most `max` bytes are ever held.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    max: usize,
    held: Held,
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    /// The usual case: a body that came in one piece is kept without a copy.
    One(Bytes),
    Many(BytesMut),
    TooLong,
}

impl Capture {
    /// Keeps bodies up to `max` bytes; 0: none.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, held: Held::Nothing }
    }

    /// A chunk goes by.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        if self.max == 0 || chunk.is_empty() {
            return;
        }
        let held = match &self.held {
            Held::Nothing => 0,
            Held::One(first) => first.len(),
            Held::Many(all) => all.len(),
            Held::TooLong => return,
        };
        if held.saturating_add(chunk.len()) > self.max {
            self.held = Held::TooLong;
            return;
        }
        self.held = match std::mem::take(&mut self.held) {
            Held::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + chunk.len());
                all.extend_from_slice(&first);
                all.extend_from_slice(chunk);
                Held::Many(all)
            }
            Held::Many(mut all) => {
                all.extend_from_slice(chunk);
                Held::Many(all)
            }
            Held::Nothing | Held::TooLong => Held::One(chunk.clone()),
        };
    }

    /// Forgets what went by, to see it once more.
    pub(crate) fn restart(&mut self) {
        self.held = Held::Nothing;
    }

    /// The whole body; none if none was asked for or it was longer.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if self.max == 0 {
            return None;
        }
        match std::mem::take(&mut self.held) {
            Held::Nothing => Some(Bytes::new()),
            Held::One(first) => Some(first),
            Held::Many(all) => Some(all.freeze()),
            Held::TooLong => None,
        }
    }
}
