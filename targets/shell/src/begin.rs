//! From a request's head to the verdict: begin, ask once, decide. Where the store says that the configuration was changed, it
//! has done nothing else, and the request begins anew with what was changed. That happens once for a request.

use std::sync::Arc;

use acip_core::{
    Facts, Gateway, Outcome, RequestHead, Step, Verdict, control,
    plugin::{Answers, Source},
    store::{Ask, Cells},
    trace::{Origin, Recording},
};
use bytes::Bytes;

use crate::{
    account::{Account, Stage},
    homes::{self, Row},
    ports::Ports,
};

/// A request that was begun.
pub(crate) struct Begun {
    gateway: Arc<Gateway>,
    /// See [`Facts::seen`].
    seen: Option<u64>,
    took_turn: bool,
    /// None where the store is to be asked: then the account has the exchange. Boxed, because most requests ask, and the
    /// future of each would have room for it.
    settled: Option<Box<Verdict>>,
}

/// Begins a request: all of it that waits for nothing.
pub(crate) fn request<P: Ports>(
    account: &mut Account<P>,
    gateway: Arc<Gateway>,
    head: RequestHead,
    facts: Facts,
) -> Begun {
    once(account, gateway, head, facts, false)
}

fn once<P: Ports>(
    account: &mut Account<P>,
    gateway: Arc<Gateway>,
    head: RequestHead,
    facts: Facts,
    took_turn: bool,
) -> Begun {
    let seen = facts.seen;
    let step = begin(account, &gateway, head, facts);
    let takes_turn = step.takes_turn();
    if takes_turn && !took_turn {
        account.ports.take_turn();
    }
    let settled = match step {
        Step::Settled(verdict) => Some(Box::new(verdict)),
        Step::Asking(exchange) => {
            account.enter(Stage::Asking(exchange));
            None
        }
    };
    Begun { gateway, seen, took_turn: takes_turn, settled }
}

/// The verdict. None only if the account lost its exchange, which cannot happen.
pub(crate) async fn verdict<P: Ports>(account: &mut Account<P>, begun: Begun) -> Option<Verdict> {
    let Begun { gateway, seen, took_turn, settled } = begun;
    let (text, head, mut facts) = match settled {
        Some(verdict) => match look(account, &gateway, &verdict, seen).await {
            None => return Some(*verdict),
            Some(text) => {
                let (head, facts) = verdict.undo();
                (text, head, facts)
            }
        },
        None => match ask(account).await? {
            Asked::Decided(verdict) => return Some(verdict),
            Asked::Moved(anew) => *anew,
        },
    };
    let gateway = match account.ports.follow(seen.unwrap_or_default(), &text) {
        Some((ports, gateway)) => {
            account.ports = ports;
            gateway
        }
        None => gateway,
    };
    // What changes in the meantime is for the next request.
    facts.seen = None;
    facts.origins = account.ports.board(|board| board.views(facts.now_ms));
    match once(account, gateway, head, facts, took_turn).settled {
        Some(verdict) => Some(*verdict),
        None => match ask(account).await? {
            Asked::Decided(verdict) => Some(verdict),
            // INVARIANT: a batch that watches nothing is never told so.
            Asked::Moved(..) => None,
        },
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a moment, and the usual variant is not worth an allocation"
)]
enum Asked {
    Decided(Verdict),
    Moved(Box<(Bytes, RequestHead, Facts)>),
}

fn begin<P: Ports>(
    account: &mut Account<P>,
    gateway: &Arc<Gateway>,
    head: RequestHead,
    facts: Facts,
) -> Step {
    if account.ports.records() {
        let recording = Recording {
            head: head.clone(),
            facts: facts.clone(),
            row: None,
            origin: Origin::Silent,
            outcome: Outcome::default(),
        };
        account.recording = Some(Box::new((Arc::clone(gateway), recording)));
    }
    gateway.begin(head, facts)
}

/// Whether the configuration was changed, where a request is settled without the store and nothing but requests can
/// tell: else a change that refuses all of them could never be taken back.
async fn look<P: Ports>(
    account: &Account<P>,
    gateway: &Gateway,
    verdict: &Verdict,
    seen: Option<u64>,
) -> Option<Bytes> {
    let seen = seen.filter(|_| verdict.follows() && account.ports.look_is_due())?;
    let mut ask = Ask::new(account.ports.now_ms());
    let _ = ask.watch(control::key(gateway.document()), seen);
    let batch = ask.into_batch();
    let row = account.ports.ask(&batch).await.ok()?;
    batch.moved(&row)
}

/// The one round trip. None only if the account lost its exchange, which cannot happen.
async fn ask<P: Ports>(account: &mut Account<P>) -> Option<Asked> {
    let asked_us = account.ports.mono_us();
    account.store_at_us = asked_us.saturating_sub(account.began_us);
    let Stage::Asking(exchange) = account.stage() else { return None };
    let Row { cells, source, took_us } = homes::row(&account.ports, exchange.batch()).await;
    account.store_us = account.store_us.saturating_add(took_us);
    account.store_failed = source != Source::Store;
    let Stage::Asking(exchange) = account.leave() else { return None };
    let moved = exchange.batch().moved(&cells).filter(|_| source == Source::Store);
    if let Some(text) = moved {
        let (head, facts) = exchange.undo();
        return Some(Asked::Moved(Box::new((text, head, facts))));
    }
    if let Some(recording) = &mut account.recording {
        recording.1.row = Some((source, cells.clone()));
    }
    Some(Asked::Decided(exchange.decide(Answers { cells: Cells(&cells), source })))
}
