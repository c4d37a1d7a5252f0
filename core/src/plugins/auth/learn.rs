//! What the origin's answers teach about workers' tokens: one current hash per worker, and for each hash whose it
//! is. Only hashes are kept.
//!
//! `register` and `refresh-token` hand out the current token; the answer reaches the client only once the gateway knows it,
//! for the client may use it at once. A 2xx of one of the seven calls proves the token that came with it, and so does
//! `verify` with `"valid": true`.

use alloc::{borrow::ToOwned, boxed::Box, string::String, sync::Arc};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{
    Rules, WorkerToken,
    refusals::{member, unproven},
    worker,
};
use crate::{
    config::WorkerTokens,
    flow::Flow,
    json,
    outcome::Outcome,
    plugin::{Plan, Ruling, Source},
    routes::RouteKind,
    store::{Ask, Guard, Op, WorkerRecord},
};

/// Adds what is to be learned from this request to what auth decided about it.
pub(super) fn plan(rules: &Arc<Rules>, flow: &mut Flow, ask: &mut Ask, plan: Plan) -> Plan {
    let kind = flow.request.route.kind;
    if !matches!(kind, RouteKind::Register | RouteKind::RefreshToken | RouteKind::Verify) {
        return plan;
    }
    // An encoded answer could not be read.
    flow.outgoing.set.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let id = flow.request.worker_id.clone();
    match (plan, kind, id) {
        (plan, RouteKind::Register, _) => {
            watch(rules, flow, None, WorkerRecord::Unknown);
            plan
        }
        (Plan::Pass, RouteKind::RefreshToken | RouteKind::Verify, Some(id)) => {
            let presented = flow.request.presented.stored.clone();
            let slot = ask.worker(rules.keys.worker(&id), presented);
            let rules = Arc::clone(rules);
            Plan::Judge(Box::new(move |flow, answers| {
                // A refresh that could not be noted would leave the old token valid here and the new one not.
                if kind == RouteKind::RefreshToken && answers.source != Source::Store {
                    return Ruling::Refuse(unproven(flow));
                }
                if answers.source == Source::Store {
                    watch(&rules, flow, Some(id), answers.cells.worker(slot));
                }
                Ruling::Pass
            }))
        }
        (plan, ..) => plan,
    }
}

/// Reads the answer when it is there.
fn watch(rules: &Arc<Rules>, flow: &mut Flow, id: Option<String>, state: WorkerRecord) {
    let rules = Arc::clone(rules);
    flow.on_seal(Box::new(move |flow, draft| {
        let verifies = flow.request.route.kind == RouteKind::Verify;
        let status = draft.head.status;
        let tells = status.is_success() && json::is_readable(&draft.head.headers);
        if !tells || (verifies && status != StatusCode::OK) {
            return;
        }
        flow.outgoing.capture_response = flow.outgoing.capture_response.max(json::CAPTURE_BYTES);
        flow.outgoing.hold_until_written = true;
        flow.on_finish(Box::new(move |flow, outcome| {
            let Some(answer) = json::object(outcome.response_body.as_ref()) else { return };
            if verifies {
                verified(&rules, flow, outcome, id.as_deref(), state, &answer);
            } else {
                issued(&rules, flow, outcome, id, &answer);
            }
        }));
    }));
}

/// A token that the origin has just made.
fn issued(rules: &Rules, flow: &mut Flow, outcome: &Outcome, id: Option<String>, answer: &json::Object) {
    let Some(id) = id.or_else(|| json::id(answer, "worker_id")) else { return };
    let Some(token) = json::text(answer, "token").filter(|token| !token.is_empty()) else { return };
    let expiry = ["token_expires_at", "expires_at"].iter().find_map(|name| answer.get(*name));
    let expires_at = expiry.and_then(json::time_ms).filter(|at| *at > outcome.now_ms);
    let stored = rules.settings.stored(token);
    teach(rules, flow, &id, &stored, outcome.now_ms, expires_at, false);
}

/// `verify` said that the presented token is valid. Where another one was thought to be current, the worker went
/// to the origin past this gateway.
fn verified(
    rules: &Rules,
    flow: &mut Flow,
    outcome: &Outcome,
    id: Option<&str>,
    state: WorkerRecord,
    answer: &json::Object,
) {
    let presented = &flow.request.presented;
    let is_key = presented.is_admin_token || presented.static_key.is_some();
    let (Some(id), Some(Value::Bool(true))) = (id, answer.get("valid")) else { return };
    if state == WorkerRecord::Matches || is_key || presented.stored.is_empty() {
        return;
    }
    let stored = presented.stored.clone();
    teach(rules, flow, id, &stored, outcome.now_ms, None, state == WorkerRecord::Unknown);
}

/// One of the seven calls succeeded with a token that was unknown.
pub(super) fn teach_unknown(rules: &Rules, flow: &mut Flow, id: &str) {
    let (stored, now_ms) = (flow.request.presented.stored.clone(), flow.request.facts.now_ms);
    teach(rules, flow, id, &stored, now_ms, None, true);
}

/// The origin refuses the token that was thought to be current: from now on it is unknown, and the refusal counts
/// against the worker's permits. Under `strict` nothing but a new token would ever make it known again.
pub(super) fn unlearn_when_refused(rules: &Arc<Rules>, flow: &mut Flow, id: &str) {
    if rules.tokens == WorkerTokens::Strict || !worker::is_checked(flow.request.route.kind) {
        return;
    }
    let (rules, id) = (Arc::clone(rules), id.to_owned());
    flow.on_seal(Box::new(move |flow, draft| {
        if draft.head.status == StatusCode::UNAUTHORIZED {
            let limit = worker::permit(&rules, &id);
            let member = member(flow);
            flow.writes.push(Op::Delete { key: rules.keys.worker(&id) });
            flow.writes.push(Op::Spend { limit, guard: Guard::Always, member, together: false });
        }
    }));
}

/// Notes the current token of a worker. `only_new`: unless one is known by now, for a newer one may have been issued
/// while this was under way.
fn teach(
    rules: &Rules,
    flow: &mut Flow,
    id: &str,
    stored: &str,
    now_ms: u64,
    expires_at: Option<u64>,
    only_new: bool,
) {
    let latest = now_ms.saturating_add(LONGEST_MS);
    let expires_at = expires_at.unwrap_or(now_ms.saturating_add(TOKEN_MS)).min(latest);
    let ttl_ms = Some(expires_at.saturating_sub(now_ms).max(1));
    let token =
        WorkerToken { worker: id.to_owned(), stored: stored.to_owned(), expires_at: Some(expires_at) };
    flow.writes.push(Op::SetHash { key: rules.keys.worker(id), fields: token.current(), ttl_ms, only_new });
    let fields = token.attribution();
    flow.writes.push(Op::SetHash { key: rules.keys.key(stored), fields, ttl_ms, only_new: true });
}

/// How long a token lives at the backend.
const TOKEN_MS: u64 = 86_400_000;
/// An expiry past this is taken for a mistake.
const LONGEST_MS: u64 = 400 * 86_400_000;
