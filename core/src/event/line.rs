//! An event as JSON, for listeners outside the process. Nothing in it is a credential, nor a path that may hold one.

use alloc::string::String;
use serde::Serialize;

use super::Event;
use crate::{
    config::Origin,
    keys::iso8601,
    origins::OriginId,
    outcome::{AccessRecord, Audit},
};

/// `{"name","time",…}` with the facts of the event, and with those of the request that it belongs to, if to one. `origins`
/// are those of the document.
pub fn line(event: &Event, at_ms: u64, request: Option<&AccessRecord>, origins: &[Origin]) -> String {
    let named = |id: &OriginId| origins.get(id.0).map(|origin| origin.name.as_str());
    let mut line = Line {
        name: event.name(),
        time: iso8601(at_ms),
        request_id: request.map(|record| record.request_id.as_str()),
        trace_id: request.filter(|record| record.sampled).map(|record| record.trace_id.as_str()),
        method: request.map(|record| record.method.as_str()),
        route: request.and_then(|record| Some(record.route.as_ref()?.pattern.as_str())),
        ..Line::default()
    };
    match event {
        Event::RequestCompleted => {
            line.status = request.map(|record| record.status.as_u16());
            line.duration_us = request.map(|record| record.outcome.total_us);
        }
        Event::RequestError { reason } => {
            line.reason = Some(*reason);
            line.status = request.map(|record| record.status.as_u16());
            line.duration_us = request.map(|record| record.outcome.total_us);
        }
        Event::AuthRejected { reason } => line.reason = Some(*reason),
        Event::AuthValidated { id } => line.identity = Some(id),
        Event::LimitExceeded { limit } => {
            line.limit = Some(limit);
            // By whom, where it was no stranger.
            line.identity = request.and_then(|record| record.identity.as_deref());
            line.tenant = request.and_then(|record| record.tenant.as_deref());
        }
        Event::CacheHit { stale } => line.stale = Some(*stale),
        Event::RouterSelected { origin } => line.origin = named(origin),
        Event::RouterFailover { from } => line.origin = named(from),
        Event::WorkerOnline { worker, region } => {
            (line.worker, line.region) = (Some(worker.as_str()), region.as_deref());
        }
        Event::WorkerOffline { worker } => line.worker = Some(worker),
        Event::WorkerUpdated { worker, region, up } => {
            (line.worker, line.region, line.up) = (Some(worker.as_str()), region.as_deref(), Some(*up));
        }
        Event::JobSubmitted { job } | Event::JobCompleted { job } | Event::JobFailed { job } => {
            line.job = Some(job);
        }
        Event::HealthCheck { origin, healthy } => {
            (line.origin, line.healthy) = (named(origin), Some(*healthy));
        }
        Event::AdminChanged => line.audit = request.and_then(|record| record.audit.as_ref()),
        Event::PluginError { plugin, detail } => {
            (line.plugin, line.detail) = (Some(*plugin), Some(detail.as_str()));
        }
        Event::RequestIncoming
        | Event::LimitAllowed
        | Event::CacheMiss
        | Event::CacheStored
        | Event::HealthDegraded => {}
    }
    // INVARIANT: texts and numbers under fixed names always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}

#[derive(Default, Serialize)]
struct Line<'r> {
    name: &'static str,
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<&'r Audit>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_refusal_by_a_limit_names_the_key_and_its_tenant() {
        let event = Event::LimitExceeded { limit: "default".into() };
        let told = |record: &AccessRecord| {
            let text = line(&event, 1_000, Some(record), &[]);
            let told: Value = serde_json::from_str(&text).unwrap();
            [told["limit"].clone(), told["identity"].clone(), told["tenant"].clone()]
        };
        let mut record = AccessRecord::default();
        assert_eq!(told(&record), [json!("default"), Value::Null, Value::Null]);
        (record.identity, record.tenant) = (Some("key_1".into()), Some("acme".into()));
        assert_eq!(told(&record), [json!("default"), json!("key_1"), json!("acme")]);
    }
}
