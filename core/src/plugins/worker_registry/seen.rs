//! What a worker's successful call tells of it.

use alloc::{boxed::Box, format, string::String, string::ToString, sync::Arc};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{GUARD_MS, INDEX, MOST, Rules, TTL_MS, is_up, status_key};
use crate::{
    event::Event,
    flow::Flow,
    json::{self, Object},
    keys::iso8601,
    outcome::Outcome,
    routes::RouteKind,
    store::Op,
};

/// The calls that tell something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Register,
    Heartbeat,
    GoingOffline,
    Offline,
    Complete,
}

impl Call {
    pub(super) fn of(kind: RouteKind, pattern: &str) -> Option<Self> {
        match kind {
            RouteKind::Register => Some(Self::Register),
            RouteKind::Heartbeat => Some(Self::Heartbeat),
            RouteKind::Offline if pattern.ends_with("/going-offline") => Some(Self::GoingOffline),
            RouteKind::Offline => Some(Self::Offline),
            RouteKind::WorkerChecked if pattern.ends_with("/complete") => Some(Self::Complete),
            _ => None,
        }
    }

    /// How much of its body is looked at. A completed job's result may be large, and says nothing of the worker.
    pub(super) fn request_bytes(self) -> usize {
        if matches!(self, Self::Register | Self::Heartbeat) { json::CAPTURE_BYTES } else { 0 }
    }
}

/// Notes the call if the origin says that it succeeded. `known` is the worker's present status.
pub(super) fn watch(
    rules: &Arc<Rules>,
    flow: &mut Flow,
    call: Call,
    id: Option<String>,
    known: Option<Bytes>,
) {
    let rules = Arc::clone(rules);
    flow.on_seal(Box::new(move |flow, draft| {
        if !draft.head.status.is_success() {
            return;
        }
        if json::is_readable(&draft.head.headers) {
            // Who is told that it is online looks for itself in the list next.
            flow.outgoing.capture_response = flow.outgoing.capture_response.max(json::CAPTURE_BYTES);
            flow.outgoing.hold_until_written = true;
        }
        flow.on_finish(Box::new(move |flow, outcome| {
            let answer = || json::id(&json::object(outcome.response_body.as_ref())?, "worker_id");
            let Some(id) = id.or_else(answer) else { return };
            note(&rules, flow, outcome, call, &id, known.as_ref());
        }));
    }));
}

fn note(rules: &Rules, flow: &mut Flow, outcome: &Outcome, call: Call, id: &str, known: Option<&Bytes>) {
    let known = json::object(known);
    let was_up = known.as_ref().and_then(|known| json::text(known, "status")).is_some_and(is_up);
    let body = json::object(outcome.request_body.as_ref()).unwrap_or_default();
    let Some(state) = state(call, id, known.as_ref(), &body, outcome.now_ms) else { return };

    let up = json::text(&state, "status").is_some_and(is_up);
    let region = json::text(&state, "region").map(String::from);
    let worker = String::from(id);
    flow.events.push(match (was_up, up) {
        (false, true) => Event::WorkerOnline { worker, region },
        (true, false) => Event::WorkerOffline { worker },
        _ => Event::WorkerUpdated { worker, region, up },
    });

    let mut set = |key: String, value: String| {
        flow.writes.push(Op::Set { key, value: value.into(), ttl_ms: Some(TTL_MS), only_new: false });
    };
    if matches!(call, Call::Register | Call::Heartbeat) {
        if let Some(gpu) = state.get("gpu") {
            set(format!("worker:{id}:gpu"), gpu.to_string());
        }
        set(format!("worker:{id}:heartbeat"), (outcome.now_ms / 1000).to_string());
    }
    set(status_key(id), Value::Object(state).to_string());
    // The index is one long string: a worker that is known is in it, and if it should not be, some later call mends that.
    let now_and_then = flow.request.facts.entropy.draw.is_multiple_of(16);
    if !was_up && up || now_and_then {
        flow.writes.push(Op::Index { key: INDEX.into(), member: id.into(), max: MOST, remove: false });
    }
    // A list that was read before this may be written after it: what is empty is no snapshot, but stands in its way.
    let (key, value) = (rules.keys.snapshot(), Bytes::new());
    flow.writes.push(Op::Set { key, value, ttl_ms: Some(GUARD_MS), only_new: false });
}

/// The status after the call; none where it tells nothing of a worker that nobody knows.
fn state(call: Call, id: &str, known: Option<&Object>, body: &Object, now_ms: u64) -> Option<Object> {
    let mut state = match (call, known) {
        (Call::Register, _) | (_, None) => Object::new(),
        (_, Some(known)) => known.clone(),
    };
    let old_gpu = state.remove("gpu").unwrap_or_default();
    let mut gpu = Object::new();
    for name in ["name", "memory_total_mb", "memory_used_mb", "utilization_percent"] {
        gpu.insert(name.into(), old_gpu.get(name).cloned().unwrap_or_default());
    }
    state.insert("worker_id".into(), id.into());
    for name in ["region", "status", "last_heartbeat", "uptime_seconds", "jobs_completed"] {
        state.entry(name).or_insert(Value::Null);
    }
    match call {
        Call::Register => {
            state.insert("status".into(), "online".into());
            state.insert("region".into(), text_or_null(body, "region"));
            state.insert("jobs_completed".into(), 0.into());
            gpu.insert("name".into(), text_or_null(body, "gpu_model"));
            gpu.insert("memory_total_mb".into(), megabytes(body, "gpu_memory_gb"));
            copy(body, "supported_types", &mut state, "capabilities");
        }
        Call::Heartbeat => {
            let status = json::text(body, "status").filter(|status| is_status(status)).unwrap_or("online");
            state.insert("status".into(), status.into());
            if body.contains_key("gpu_memory_used_gb") {
                gpu.insert("memory_used_mb".into(), megabytes(body, "gpu_memory_used_gb"));
            }
            state.insert("current_job".into(), text_or_null(body, "current_job_id"));
            copy(body, "supported_types", &mut state, "capabilities");
            copy(body, "loaded_models", &mut state, "capabilities");
        }
        Call::GoingOffline => {
            state.insert("status".into(), "going_offline".into());
        }
        Call::Offline => {
            state.insert("status".into(), "offline".into());
            state.insert("current_job".into(), Value::Null);
        }
        Call::Complete => {
            known?;
            let before = state.get("jobs_completed").and_then(Value::as_u64).unwrap_or_default();
            state.insert("jobs_completed".into(), before.saturating_add(1).into());
        }
    }
    if matches!(call, Call::Register | Call::Heartbeat) {
        state.insert("last_heartbeat".into(), json!(iso8601(now_ms)));
    }
    state.insert("gpu".into(), Value::Object(gpu));
    Some(state)
}

fn is_status(status: &str) -> bool {
    matches!(status, "online" | "busy" | "idle" | "going_offline" | "offline")
}

fn text_or_null(body: &Object, name: &str) -> Value {
    json::text(body, name).map(|text| text.chars().take(MAX_TEXT).collect::<String>()).into()
}

/// Gigabytes as whole megabytes; null where it is no sensible number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "guarded by the range")]
fn megabytes(body: &Object, name: &str) -> Value {
    let gb = body.get(name).and_then(Value::as_f64).filter(|gb| (0.0..=1e6).contains(gb));
    gb.map(|gb| (gb * 1024.0 + 0.5) as u64).into()
}

/// Copies a list of names.
fn copy(from: &Object, name: &str, to: &mut Object, as_name: &str) {
    if let Some(Value::Array(items)) = from.get(name) {
        let names = items.iter().filter(|item| item.is_string()).take(MAX_ITEMS).cloned();
        to.insert(as_name.into(), names.collect());
    }
}

const MAX_TEXT: usize = 200;
const MAX_ITEMS: usize = 100;
