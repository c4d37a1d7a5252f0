//! Events as cases write them: the contract's name, then the details.

use acip_core::{config::Document, event::Event, origins::OriginId};

pub(super) fn text(event: &Event, document: &Document) -> String {
    let origin =
        |id: &OriginId| document.origins.get(id.0).map_or("?", |origin| origin.name.as_str()).to_owned();
    let details = match event {
        Event::RequestError { reason } | Event::AuthRejected { reason } => (*reason).to_owned(),
        Event::AuthValidated { id } => id.clone(),
        Event::LimitExceeded { limit } => limit.clone(),
        Event::CacheHit { stale: true } => "stale".to_owned(),
        Event::RouterSelected { origin: id } | Event::RouterFailover { from: id } => origin(id),
        Event::WorkerOnline { worker, .. } | Event::WorkerOffline { worker } => worker.clone(),
        Event::WorkerUpdated { worker, up, .. } => format!("{worker} {}", if *up { "up" } else { "down" }),
        Event::JobSubmitted { job } | Event::JobCompleted { job } | Event::JobFailed { job } => job.clone(),
        Event::HealthCheck { origin: id, .. } => origin(id),
        Event::PluginError { plugin, .. } => (*plugin).to_owned(),
        _ => return event.name().to_owned(),
    };
    format!("{} {details}", event.name())
}
