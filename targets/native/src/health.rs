//! Active checks: asks every origin now and then whether it is well, so that a dead one is known before a client finds it.

use std::{sync::Arc, time::Duration};

use acip_core::{
    config::{Document, Origin},
    event::Event,
    origins::{Observation, OriginId},
};
use futures_util::future::join4;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use crate::{
    entropy::Supply,
    events::Events,
    follow, jobs,
    ports::now_ms,
    process::{Live, Phase, Process, lock},
    rt, search,
    upstream::Connector,
};

/// Checks until the process drains. Blocks.
///
/// # Errors
/// The runtime cannot be set up.
pub fn run(process: Arc<Process>) -> std::io::Result<()> {
    rt::local()?.block_on(async move {
        let mut phase = process.phase.subscribe();
        tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
            _ = join4(
                rounds(&process), search::rounds(&process), follow::rounds(&process), jobs::rounds(&process)
            ) => {}
        }
    });
    Ok(())
}

async fn rounds(process: &Process) {
    let mut entropy = Supply::default();
    loop {
        let live = process.live.load_full();
        let interval = live.gateway.document().router.health_check_interval_ms.max(100);
        // Gateways that were started together must not ask together.
        let jitter = entropy.take().draw % (interval / 5).max(1);
        sleep(Duration::from_millis(interval - interval / 10 + jitter)).await;
        for index in 0..live.gateway.document().origins.len() {
            let live = Arc::clone(&live);
            let events = Arc::clone(&process.events);
            spawn_local(async move { observe(&live, &events, OriginId(index)).await });
        }
    }
}

async fn observe(live: &Live, events: &Events, id: OriginId) {
    let document = live.gateway.document();
    let Some(origin) = document.origins.get(id.0) else { return };
    let limit = Duration::from_millis(document.router.health_check_interval_ms.clamp(1_000, 5_000));
    let failure = match timeout(limit, ask(document, origin)).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some("no answer in time".to_owned()),
    };
    let observation = if failure.is_none() { Observation::Healthy } else { Observation::Failed };
    let changed = lock(&live.board).observe(id, observation, now_ms());
    events.tell_one(&Event::HealthCheck { origin: id, healthy: failure.is_none() }, document);
    match failure {
        Some(reason) if changed => tracing::warn!(origin = origin.name, reason, "origin is unhealthy"),
        None if changed => tracing::info!(origin = origin.name, "origin is healthy again"),
        _ => {}
    }
}

/// One check on a connection of its own: that a new one can be made is part of the question.
async fn ask(document: &Document, origin: &Origin) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let url = &origin.url;
    let host = url.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let connector = Connector { tls: url.tls, host, port: url.port };
    let transport = connector.connect_http1().await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(transport)).await.map_err(|error| text(&error))?;
    let task = spawn_local(connection);
    let request = Request::get(format!("{}{}", url.prefix, document.router.health_check_path))
        .header(header::HOST, format!("{}:{}", url.host, url.port))
        .header(header::USER_AGENT, "acip-gateway-health")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| text(&error))?;
    let response = sender.send_request(request).await.map_err(|error| text(&error))?;
    let status = response.status();
    let _ = response.into_body().collect().await;
    task.abort();
    // An origin that answers 404 lives; it only has no such page.
    if status.is_server_error() { Err(format!("status {}", status.as_u16())) } else { Ok(()) }
}
