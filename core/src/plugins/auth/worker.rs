//! A worker's own calls: the token must be the current one of the worker in the path.
//!
//! The gateway knows at most one current hash per worker. Where it knows one, any other token is refused here and never
//! forwarded. Where it knows none, `learn` lets a token through to the seven calls on which the origin itself
//! checks it, against a permit: the origin locks a worker after five wrong tokens, so it gets to see at most three per
//! quarter of an hour. A permit is given back unless the origin answered 401 or 403; that answer counts against the client's
//! address as well, and one that has failed too often is not let through to guess on.

use alloc::{boxed::Box, format, string::String, sync::Arc};
use http::StatusCode;

use super::{
    Rules, accept, learn,
    present::first_token,
    refusals::{forbidden, member, unproven},
};
use crate::{
    config::{Algorithm, WorkerTokens},
    flow::{Flow, Identity, IdentityKind, Subject},
    http::names,
    plugin::{Answers, Plan, Ruling, Source},
    routes::RouteKind,
    store::{Ask, Guard, LimitSpec, Op, Record, Slot, Spend, WorkerRecord},
    verdict::OriginFailure,
};

/// What was asked for one call.
#[derive(Clone, Copy)]
struct Asked {
    /// Whose token it is, as far as that was ever learned.
    attribution: Slot<Record>,
    worker: Slot<WorkerRecord>,
    /// Failures by a token that differs from the current one, and by an unknown one. Where there is a permit it is not known
    /// yet whether the unknown one fails: then it is only looked at.
    differs: Slot<Spend>,
    unknown: Slot<Spend>,
    permit: Option<Slot<Spend>>,
}

/// Refuses what the head alone settles, asks for the rest.
pub(super) fn plan(rules: &Arc<Rules>, flow: &mut Flow, ask: &mut Ask) -> Plan {
    let Some(worker) = flow.request.worker_id.clone() else {
        let message = "this route wants a worker's token but names no worker; change its `auth`";
        return Plan::Refuse(forbidden(flow, "no_worker", message));
    };
    let presented = &flow.request.presented;
    if presented.is_admin_token || presented.static_key.is_some() {
        return Plan::Refuse(forbidden(flow, "not_worker", NOT_A_WORKER));
    }
    if presented.stored.is_empty() {
        return Plan::Refuse(rules.missing(flow));
    }
    let stored = presented.stored.clone();
    if !flow.request.head.headers.contains_key(names::X_WORKER_TOKEN)
        && let Some(token) = first_token(&flow.request.head.headers)
    {
        // The origin looks nowhere else; what the client sent stays beside it.
        flow.outgoing.set.insert(names::X_WORKER_TOKEN, token);
    }
    let attribution = ask.record(rules.keys.key(&stored));
    let slot = ask.worker(rules.keys.worker(&worker), stored);
    let differs = rules.spend_failure(flow, ask, Guard::IfWorkerDiffers(slot.op), 1);
    let learns = rules.tokens == WorkerTokens::Learn && is_checked(flow.request.route.kind);
    let unknown = rules.spend_failure(flow, ask, Guard::IfWorkerUnknown(slot.op), u32::from(!learns));
    let permit = learns.then(|| {
        // Together with the limits: a call that they refuse takes no permit.
        ask.spend(permit(rules, &worker), Guard::IfWorkerUnknown(slot.op), member(flow), true)
    });
    flow.subject = Subject::Worker(slot);
    let asked = Asked { attribution, worker: slot, differs, unknown, permit };
    let rules = Arc::clone(rules);
    Plan::Judge(Box::new(move |flow, answers| rules.judge_worker(flow, answers, &worker, asked)))
}

/// Whether the origin checks the token of this call itself.
pub(super) fn is_checked(kind: RouteKind) -> bool {
    matches!(kind, RouteKind::Heartbeat | RouteKind::Offline | RouteKind::WorkerChecked)
}

/// How many unknown tokens of a worker the origin may get to see.
pub(super) fn permit(rules: &Rules, worker: &str) -> LimitSpec {
    LimitSpec {
        key: rules.keys.by_worker(worker, "refusals"),
        algorithm: Algorithm::SlidingLog,
        limit: PERMITS,
        window_ms: PERMIT_WINDOW_MS,
        cost: 1,
    }
}

impl Rules {
    fn judge_worker(
        self: &Arc<Self>,
        flow: &mut Flow,
        answers: &Answers<'_>,
        worker: &str,
        asked: Asked,
    ) -> Ruling {
        let cells = &answers.cells;
        let permit = asked.permit.and_then(|permit| cells.spend(permit));
        let failure = cells.spend(asked.unknown);
        if answers.source != Source::Store {
            // This process's own memory of permits stands in; what it knows of tokens does not.
            return match permit {
                Some(permit) => self.judge_permit(flow, worker, &permit, failure),
                None => Ruling::Refuse(unproven(flow)),
            };
        }
        let record = cells.record(asked.attribution);
        let state = cells.worker(asked.worker);
        if state == WorkerRecord::Matches {
            learn::unlearn_when_refused(self, flow, worker);
            accept(flow, identity(worker));
            return Ruling::Pass;
        }
        let foreign = record.live && record.worker_id != worker;
        if foreign {
            if permit.is_some_and(|permit| permit.admitted) {
                self.refund(flow, worker);
            }
            let (reason, message) = match record.worker_id.as_str() {
                "" => ("not_worker", NOT_A_WORKER),
                _ => ("foreign", "this token belongs to another worker"),
            };
            return Ruling::Refuse(forbidden(flow, reason, message));
        }
        match (state, permit) {
            (WorkerRecord::Unknown, Some(permit)) => self.judge_permit(flow, worker, &permit, failure),
            (WorkerRecord::Unknown, None) => Ruling::Refuse(self.invalid(flow, "unknown", failure.as_ref())),
            _ => Ruling::Refuse(self.invalid(flow, "differs", cells.spend(asked.differs).as_ref())),
        }
    }

    /// An unknown token on one of the seven calls.
    fn judge_permit(
        self: &Arc<Self>,
        flow: &mut Flow,
        worker: &str,
        permit: &Spend,
        failures: Option<Spend>,
    ) -> Ruling {
        if let Some(failures) = failures.filter(|failures| failures.remaining == 0) {
            if permit.admitted {
                self.refund(flow, worker);
            }
            return Ruling::Refuse(self.invalid(flow, "limited", Some(&spent(failures, flow))));
        }
        if !permit.admitted {
            self.count_failure(flow);
            let refusal = self.invalid(flow, "no_permit", None);
            return Ruling::Refuse(refusal.retry_after_ms(permit.retry_after_ms));
        }
        accept(flow, identity(worker));
        let (rules, id) = (Arc::clone(self), String::from(worker));
        flow.on_seal(Box::new(move |flow, draft| {
            let status = draft.head.status;
            if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                rules.count_failure(flow);
            } else {
                rules.refund(flow, &id);
            }
            if status.is_success() {
                learn::teach_unknown(&rules, flow, &id);
            }
        }));
        let (rules, id) = (Arc::clone(self), String::from(worker));
        flow.on_fail(Box::new(move |flow, failure| {
            // After a timeout or a broken connection the origin may have counted the token as wrong.
            if !matches!(failure, OriginFailure::Timeout | OriginFailure::Broken) {
                rules.refund(flow, &id);
            }
            None
        }));
        Ruling::Pass
    }

    fn refund(&self, flow: &mut Flow, worker: &str) {
        let key = permit(self, worker).key;
        let member = member(flow);
        flow.writes.push(Op::Refund { key, member });
    }
}

/// What was only looked at, as the refusal of the next failure: once the window's border is past, the failures before it
/// leave one by one.
fn spent(failures: Spend, flow: &Flow) -> Spend {
    let border_ms = failures.reset_ms.saturating_sub(flow.request.facts.now_ms);
    let one_ms = failures.window_ms.checked_div(failures.limit.into()).unwrap_or_default();
    Spend { admitted: false, retry_after_ms: border_ms.saturating_add(one_ms), ..failures }
}

fn identity(worker: &str) -> Identity {
    let id = format!("worker:{worker}");
    Identity { tenant: id.clone(), id, kind: IdentityKind::Worker }
}

const NOT_A_WORKER: &str = "an API key does not open a worker's own calls; send the worker's token";
/// Two less than what locks a worker at the origin: a call that was under way when another failed still fits.
const PERMITS: u32 = 3;
/// As long as the origin's lock.
const PERMIT_WINDOW_MS: u64 = 900_000;
