//! `GET /api/v1/workers`: what the store knows of each worker, in one of two shapes. What is not known is `null`.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{GUARD_MS, INDEX, MOST, Rules, TTL_MS, is_up, query::Query};
use crate::{
    config::WorkersFormat,
    flow::Flow,
    json::{self, Object},
    keys::iso8601,
    store::Op,
    verdict::Answer,
};

/// The workers of the row, and what is to be written of it: a snapshot for others, and less of the index. None if it is no
/// such row.
pub(super) fn workers(rules: &Rules, flow: &mut Flow, row: &Bytes) -> Option<Vec<Object>> {
    let now_ms = flow.request.facts.now_ms;
    let Listed { workers, gone } = read(row, now_ms)?;
    let Some(gone) = gone else { return Some(workers) };
    for member in gone {
        flow.writes.push(Op::Index { key: INDEX.into(), member, max: MOST, remove: true });
    }
    let value: Bytes = json!({ "workers": workers }).to_string().into();
    let key = rules.keys.snapshot();
    flow.on_finish(Box::new(move |flow, outcome| {
        // What stands in the way of old lists runs out: a client that took its answer slowly is too late to tell others.
        if outcome.now_ms.saturating_sub(now_ms) < GUARD_MS / 2 {
            flow.writes.push(Op::Set { key, value, ttl_ms: Some(SNAPSHOT_MS), only_new: true });
        }
    }));
    Some(workers)
}

/// The workers of a row.
pub(super) struct Listed {
    pub(super) workers: Vec<Object>,
    /// Ids in the index whose keys have run out, a few at a time; none where the row was a snapshot.
    gone: Option<Vec<String>>,
}

/// Reads a snapshot as it was written here before, or the raw keys. None if it is neither.
pub(super) fn read(row: &Bytes, now_ms: u64) -> Option<Listed> {
    let mut row = json::object(Some(row))?;
    if let Some(Value::Array(workers)) = row.remove("workers") {
        return Some(Listed { workers: workers.into_iter().filter_map(object).collect(), gone: None });
    }
    let mut column = |name: &str| match row.remove(name) {
        Some(Value::Array(items)) => Some(items),
        _ => None,
    };
    let (ids, status, gpu, heartbeat) =
        (column("ids")?, column("status")?, column("gpu")?, column("heartbeat")?);
    let (mut workers, mut gone) = (Vec::new(), Vec::new());
    let cells = status.iter().zip(&gpu).zip(&heartbeat);
    for (id, ((status, gpu), heartbeat)) in ids.iter().filter_map(Value::as_str).zip(cells) {
        let known = Raw { status: parsed(status), gpu: parsed(gpu), heartbeat: heartbeat.as_str() };
        match known.worker(id, now_ms) {
            Some(worker) => workers.push(worker),
            // The index has no clock of its own.
            None if gone.len() < MOST_REMOVED => gone.push(id.into()),
            None => {}
        }
    }
    Some(Listed { workers, gone: Some(gone) })
}

/// The keys of one worker.
struct Raw<'r> {
    status: Option<Object>,
    gpu: Option<Object>,
    heartbeat: Option<&'r str>,
}

impl Raw<'_> {
    fn worker(&self, id: &str, now_ms: u64) -> Option<Object> {
        if self.status.is_none() && self.gpu.is_none() && self.heartbeat.is_none() {
            return None;
        }
        let empty = Object::new();
        let status = self.status.as_ref().unwrap_or(&empty);
        let noted = status.get("last_heartbeat").and_then(json::time_ms);
        let beat = self.heartbeat.and_then(json::text_time_ms).max(noted);
        let late = beat.is_some_and(|beat| now_ms.saturating_sub(beat) > TTL_MS);
        // Without any sign of life but its graphics card, nobody can say that it is online.
        let told = json::text(status, "status");
        let state = if late { Some("offline") } else { told };
        let told_gpu = status.get("gpu").and_then(Value::as_object);
        // `:gpu` has a time only if its writer gave it one; written apart, it is taken for the newer.
        let older = self.gpu.as_ref().and_then(gpu_time).zip(noted).is_some_and(|(gpu, noted)| gpu < noted);
        let order = if older { [told_gpu, self.gpu.as_ref()] } else { [self.gpu.as_ref(), told_gpu] };
        let gpu = |name: &str, fits: fn(&Value) -> bool| {
            let found = order.iter().find_map(|gpu| gpu.as_ref()?.get(name).filter(|value| fits(value)));
            found.cloned().unwrap_or_default()
        };
        object(json!({
            "worker_id": id,
            "region": json::text(status, "region"),
            "status": state,
            "gpu": {
                "name": gpu("name", Value::is_string),
                "memory_total_mb": gpu("memory_total_mb", Value::is_number),
                "memory_used_mb": gpu("memory_used_mb", Value::is_number),
                "utilization_percent": gpu("utilization_percent", Value::is_number),
            },
            "last_heartbeat": beat.and_then(iso8601),
            "uptime_seconds": status.get("uptime_seconds").filter(|value| value.is_number()),
            "jobs_completed": status.get("jobs_completed").filter(|value| value.is_number()),
        }))
    }
}

/// The answer in the wanted shape.
pub(super) fn answer(rules: &Rules, workers: &[Object], query: &Query) -> Answer {
    let wanted: Vec<&Object> = workers.iter().filter(|worker| is_wanted(rules, worker, query)).collect();
    let count = |fits: fn(&str) -> bool| {
        wanted.iter().filter(|worker| json::text(worker, "status").is_some_and(fits)).count()
    };
    let body = match query.format {
        WorkersFormat::Backend => Value::Array(wanted.iter().map(|worker| backend(worker)).collect()),
        WorkersFormat::Gateway => json!({
                "workers": wanted,
                "total": wanted.len(),
        "online": count(|status| status != "offline"),
                "busy": count(|status| status == "busy"),
                "idle": count(|status| status == "online" || status == "idle"),
            }),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer { status: StatusCode::OK, headers, body: body.to_string().into(), close: false }
}

/// See [`is_up`].
pub(super) fn is_online(worker: &Object) -> bool {
    json::text(worker, "status").is_some_and(is_up)
}

/// `status=idle` asks for what is counted as idle: a worker that is online says nothing more of itself.
fn is_wanted(rules: &Rules, worker: &Object, query: &Query) -> bool {
    let status = json::text(worker, "status");
    let state = query
        .status
        .as_deref()
        .is_none_or(|wanted| status == Some(wanted) || (wanted == "idle" && status == Some("online")));
    let canonical = |name| rules.regions.canonical(name).unwrap_or(name).to_string();
    let region = query.region.as_deref().is_none_or(|wanted| {
        json::text(worker, "region").is_some_and(|region| canonical(region) == canonical(wanted))
    });
    state && region
}

/// One worker as the backend's array has it; its memory is in GB.
fn backend(worker: &Object) -> Value {
    let gpu = |name: &str| worker.get("gpu").and_then(|gpu| gpu.get(name));
    let gb = |name: &str| gpu(name).and_then(Value::as_f64).map(|mb| mb / 1024.0);
    json!({
        "worker_id": worker.get("worker_id"),
        "region": worker.get("region"),
        "status": worker.get("status"),
        "gpu_model": gpu("name"),
        "gpu_memory_gb": gb("memory_total_mb"),
        "gpu_memory_used_gb": gb("memory_used_mb"),
        "last_heartbeat": worker.get("last_heartbeat"),
        "jobs_completed": worker.get("jobs_completed"),
    })
}

fn parsed(cell: &Value) -> Option<Object> {
    object(serde_json::from_str(cell.as_str()?).ok()?)
}

fn gpu_time(gpu: &Object) -> Option<u64> {
    ["updated_at", "timestamp"].iter().find_map(|name| gpu.get(*name).and_then(json::time_ms))
}

fn object(value: Value) -> Option<Object> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// How long an aggregated list stands in for the keys.
const SNAPSHOT_MS: u64 = 5_000;
/// Dead ids removed by one request: the next one finds the rest.
const MOST_REMOVED: usize = 100;
