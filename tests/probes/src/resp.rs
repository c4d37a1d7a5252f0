//! RESP: a decoder that is fed in pieces says the same as one that is fed at once.

use acip_core::store::{Decoder, Reply, RespError, resp};

/// The first two bytes choose the sizes of the pieces; the rest is what a server might have sent.
pub fn resp(input: &[u8]) {
    let Some((sizes, bytes)) = input.split_at_checked(2) else { return };
    let whole = decoded(std::iter::once(bytes));
    let mut rest = bytes;
    let mut turn = 0;
    let pieces = std::iter::from_fn(|| {
        let size = usize::from(sizes[turn % 2]) + 1;
        turn += 1;
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    });
    // As texts: a double may be no number, which equals nothing.
    assert_eq!(format!("{:?}", decoded(pieces)), format!("{whole:?}"));
    for reply in whole.into_iter().flatten() {
        for width in [0, 1, 7] {
            if let Ok(row) = resp::row(reply.clone(), width) {
                assert_eq!(row.len(), width);
            }
        }
        let _ = reply.text();
    }
}

fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Reply, RespError>> {
    let mut decoder = Decoder::default();
    let mut replies = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(reply) = decoder.next() {
            let failed = reply.is_err();
            replies.push(reply);
            if failed {
                return replies;
            }
        }
    }
    replies
}
