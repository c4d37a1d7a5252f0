//! Requests as they were decided, to decide them again: on another target, or to see why.
//!
//! A [`Recording`] is all that went into the decisions about one request; [`replay`] makes them once more and writes
//! down what came out, as bytes. Before a recording leaves the process, [`Concealed::conceal`] puts pseudonyms in the
//! place of everything secret, also in the document, so that the recording can be decided by whoever holds the file and
//! opens nothing. [`line`](mod@line) has its form as a line of JSON. Recording itself is a shell's; nothing here runs
//! unless a shell asks for it.

use alloc::vec::Vec;

use crate::{
    facts::Facts,
    outcome::Outcome,
    plugin::Source,
    request::RequestHead,
    store::Cell,
    verdict::{OriginFailure, ResponseHead},
};

mod conceal;
pub mod line;
mod replay;
#[cfg(test)]
mod tests;
mod text;
mod transcript;

pub use conceal::{ConcealError, Concealed, Pseudonyms};
pub use replay::{ReplayError, Replayed, Replayer, replay};

/// All that went into the decisions about one request.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The head as it came.
    pub head: RequestHead,
    /// The moment.
    pub facts: Facts,
    /// What the store answered; none where it was not asked.
    pub row: Option<(Source, Vec<Cell>)>,
    /// What came of asking origins.
    pub origin: Origin,
    /// What the driver saw in the end.
    pub outcome: Outcome,
}

/// What came of asking origins.
#[derive(Clone, Debug, Default)]
pub enum Origin {
    /// None was asked, or the client left before one answered.
    #[default]
    Silent,
    /// One answered.
    Answered {
        /// Place in [`crate::Forward::attempts`].
        attempt: usize,
        /// Its head.
        head: ResponseHead,
        /// When the request went out, unix ms.
        sent_ms: u64,
        /// When the head came, unix ms.
        received_ms: u64,
    },
    /// None did.
    Failed {
        /// Why.
        failure: OriginFailure,
        /// When that was known, unix ms.
        now_ms: u64,
    },
}
