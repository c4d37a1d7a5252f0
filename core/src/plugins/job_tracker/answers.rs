//! What the origin's answers say of jobs.

use alloc::{boxed::Box, sync::Arc};
use http::{HeaderValue, StatusCode, header};

use super::Rules;
use crate::{config::JobOwnership, event::Event, flow::Flow, json, routes::RouteKind, store::Op};

/// Learns the owner of a job from the answer to its submission. The client gets the answer only once that is written: it
/// may ask for the job at once, and so may others who guess its id. An answer that is too long to be held, such as one with an
/// image in it, names the job before its result, as the backend's do.
pub(super) fn watch_submit(rules: &Arc<Rules>, flow: &mut Flow) {
    // An encoded answer could not be read.
    flow.outgoing.set.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let rules = Arc::clone(rules);
    flow.on_seal(Box::new(move |flow, draft| {
        let status = draft.head.status;
        let sync = flow.request.route.kind == RouteKind::JobSubmitSync;
        // The backend's answer to a wait that took too long; the job exists all the same.
        let timed_out = sync && status == StatusCode::REQUEST_TIMEOUT;
        if (!status.is_success() && !timed_out) || !json::is_readable(&draft.head.headers) {
            return;
        }
        flow.outgoing.capture_response = flow.outgoing.capture_response.max(json::CAPTURE_BYTES);
        if rules.ownership != JobOwnership::Off && flow.identity.is_some() {
            flow.outgoing.hold_until_written = true;
            let rules = Arc::clone(&rules);
            flow.on_begun(Box::new(move |flow, begun| {
                let job = json::id(&json::object(Some(begun))?, "job_id")?;
                rules.owned(flow, &job)
            }));
        }
        flow.on_finish(Box::new(move |flow, outcome| {
            let body = outcome.response_body.as_ref().or(outcome.response_begun.as_ref());
            let Some(answer) = json::object(body) else { return };
            let answer = match (timed_out, answer.get("detail")) {
                (true, Some(serde_json::Value::Object(detail))) => detail,
                _ => &answer,
            };
            let Some(job) = json::id(answer, "job_id") else { return };
            flow.writes.extend(rules.owned(flow, &job));
            if rules.tracks {
                let status = json::text(answer, "status").filter(|_| !timed_out);
                flow.events.push(Event::JobSubmitted { job: job.clone() });
                flow.events.extend(ended(status, job));
            }
        }));
    }));
}

impl Rules {
    /// What makes a job its submitter's.
    fn owned(&self, flow: &Flow, job: &str) -> Option<Op> {
        let identity = flow.identity.as_ref().filter(|_| self.ownership != JobOwnership::Off)?;
        Some(Op::Set {
            key: self.keys.job(job),
            value: identity.tenant.clone().into_bytes().into(),
            ttl_ms: Some(OWNED_MS),
            // An id belongs to whom it was first given.
            only_new: true,
        })
    }
}

/// Tells of a job that turns out to have ended when somebody reads it.
pub(super) fn watch_read(rules: &Rules, flow: &mut Flow) {
    if !rules.tracks {
        return;
    }
    flow.on_seal(Box::new(move |flow, draft| {
        let readable = json::is_readable(&draft.head.headers) && draft.replace.is_none();
        if draft.head.status != StatusCode::OK || !readable {
            return;
        }
        flow.outgoing.capture_response = flow.outgoing.capture_response.max(json::CAPTURE_BYTES);
        flow.on_finish(Box::new(|flow, outcome| {
            let answer = json::object(outcome.response_body.as_ref());
            let status = answer.as_ref().and_then(|answer| json::text(answer, "status"));
            if let Some(job) = flow.request.job_id.clone() {
                flow.events.extend(ended(status, job));
            }
        }));
    }));
}

pub(super) fn ended(status: Option<&str>, job: alloc::string::String) -> Option<Event> {
    match status? {
        "completed" => Some(Event::JobCompleted { job }),
        "failed" => Some(Event::JobFailed { job }),
        _ => None,
    }
}

/// Seven days.
const OWNED_MS: u64 = 7 * 86_400_000;
