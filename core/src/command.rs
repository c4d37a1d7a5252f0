//! A page of the gateway's own that changes something: the driver hands it the request's whole body, asks the store for it
//! as often as it wants, and sends its answer. What such a page only reads, it asks in the request's own batch, like
//! every plugin.
//!
//! A plugin leaves a [`Command`] in [`Flow`]; the driver gets it as a [`Task`]. Start there.

use alloc::{boxed::Box, string::String, sync::Arc};
use bytes::Bytes;

use crate::{
    facts::Entropy,
    flow::Flow,
    gateway::Gateway,
    plugin::{Answers, Source},
    refusal::{ErrorCode, Refusal},
    store::Batch,
    verdict::{Answer, Closing, Reply},
};

/// What a plugin leaves to be done once the request's body is there.
pub struct Command {
    /// Largest body in bytes; a longer one is refused with 413.
    pub body_limit: usize,
    /// Reads the body.
    pub run: Run,
}

/// Reads the body, which is whole.
pub type Run = Box<dyn FnOnce(&Arc<Gateway>, &mut Flow, Bytes) -> Act + Send>;

/// Judges the store's answer to an [`Act::Ask`]. It sees rows of the store alone: when that is down, the request is
/// refused with 503.
pub type Next = Box<dyn FnOnce(&Arc<Gateway>, &mut Flow, &Answers<'_>) -> Act + Send>;

/// What a command does next.
pub enum Act {
    /// Done.
    Answer(Answer),
    /// Done; the store's configuration was changed.
    Changed(Answer, Changed),
    /// Refused.
    Refuse(Refusal),
    /// Asks the store, or tells it something that the answer depends on.
    Ask(Batch, Next),
}

/// A change of the store's configuration.
pub struct Changed {
    /// The version that the store had until then.
    pub before: u64,
    /// What it has now.
    pub text: String,
}

/// A command that waits for the request's body.
pub struct Task {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) flow: Box<Flow>,
    pub(crate) command: Command,
}

/// Why there is no body to run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Longer than [`Task::body_limit`].
    TooLarge,
    /// The client broke off, sent nothing for too long, or sent something malformed.
    Broken,
}

/// How far a command has come.
pub enum Progress {
    /// It has its answer. The store's configuration may have been changed, which the process that changed it puts in
    /// force before it answers: whoever asks it next, even for something that needs no store, finds it so.
    Done(Reply, Option<Changed>),
    /// It waits for the store.
    Asking(Inquiry),
}

/// A command that waits for the store.
pub struct Inquiry {
    gateway: Arc<Gateway>,
    flow: Box<Flow>,
    batch: Batch,
    next: Next,
}

impl Task {
    /// Largest body in bytes.
    pub fn body_limit(&self) -> usize {
        self.command.body_limit
    }

    /// The body is there. `chance` is fresh, and shown to nobody: a key may be made of it. Where there is none, no key is.
    pub fn run(self, body: Bytes, chance: Option<Entropy>) -> Progress {
        let Self { gateway, mut flow, command } = self;
        flow.chance = chance;
        let act = (command.run)(&gateway, &mut flow, body);
        Progress::of(gateway, flow, act)
    }

    /// The body will not come.
    pub fn fail(self, fault: BodyFault) -> Reply {
        let mut refusal = match fault {
            BodyFault::TooLarge => {
                let message = "the request body is larger than this page takes";
                Refusal::new(ErrorCode::PayloadTooLarge, "body_size", message)
            }
            BodyFault::Broken => {
                let message = "the request body broke off or is malformed";
                Refusal::new(ErrorCode::BadRequest, "client_body", message)
            }
        };
        // The rest of the body may still be on its way.
        refusal.close = true;
        self.gateway.refused(self.flow, refusal)
    }

    /// The client left.
    pub fn abandon(self) -> Closing {
        Closing::left(self.flow)
    }
}

impl Inquiry {
    /// What to ask, as one command.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The store's row, or that there is none.
    pub fn decide(self, answers: Answers<'_>) -> Progress {
        let Self { gateway, mut flow, next, .. } = self;
        let act = if answers.source == Source::Store {
            next(&gateway, &mut flow, &answers)
        } else {
            let message = "the store did not answer, so it is not known whether the change was made; \
                           read the page again before the next try";
            Act::Refuse(Refusal::new(ErrorCode::StoreUnavailable, "store_down", message))
        };
        Progress::of(gateway, flow, act)
    }

    /// The client left. What the store was told stays.
    pub fn abandon(self) -> Closing {
        Closing::left(self.flow)
    }
}

impl Progress {
    fn of(gateway: Arc<Gateway>, flow: Box<Flow>, act: Act) -> Self {
        match act {
            Act::Answer(answer) => Self::Done(gateway.conclude(flow, answer, None), None),
            Act::Changed(answer, changed) => Self::Done(gateway.conclude(flow, answer, None), Some(changed)),
            Act::Refuse(refusal) => Self::Done(gateway.refused(flow, refusal), None),
            Act::Ask(batch, next) => Self::Asking(Inquiry { gateway, flow, batch, next }),
        }
    }
}
