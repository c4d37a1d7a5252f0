//! Active checks: asks every origin now and then whether it is well, so that a dead one is known before a client finds it.

use std::{sync::Arc, time::Duration};

use acip_core::{
    config::{Document, Origin},
    event::Event,
    origins::{Observation, OriginId},
};
use http::{Request, header};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use crate::{
    entropy::Supply,
    events::Events,
    ports::now_ms,
    process::{Live, Process, lock},
    upstream::Connector,
};

/// Checks until the process drains. Call it within a `LocalRuntime`.
pub(crate) async fn rounds(process: &Process) {
    let mut entropy = Supply::default();
    loop {
        let live = process.live.load_full();
        let interval = live.gateway.document().router.health_check_interval_ms;
        // Gateways that were started together must not ask together.
        let jitter = entropy.take().map_or(0, |chance| chance.draw % (interval / 5).max(1));
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
    let host = url.host.trim_matches(['[', ']']).to_owned();
    let connector = Connector { tls: url.tls, host, port: url.port };
    let transport = connector.connect_http1().await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(transport)).await.map_err(|error| text(&error))?;
    let task = spawn_local(connection);
    let request = request(document, origin).map_err(|error| text(&error))?;
    let response = sender.send_request(request).await.map_err(|error| text(&error))?;
    // The head says it all, and a page of any length may follow.
    let status = response.status();
    task.abort();
    // An origin that answers 404 lives; it only has no such page.
    if status.is_server_error() { Err(format!("status {}", status.as_u16())) } else { Ok(()) }
}

fn request(document: &Document, origin: &Origin) -> http::Result<Request<Empty<Bytes>>> {
    Request::get(format!("{}{}", origin.url.prefix, document.router.health_check_path))
        .header(header::HOST, origin.url.authority())
        .header(header::USER_AGENT, "acip-gateway-health")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
}

#[cfg(test)]
mod tests {
    use acip_core::config::OriginUrl;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    fn origin(url: &str) -> Origin {
        let url = OriginUrl::parse(url).expect("a URL");
        Origin { name: "a".into(), url, region: None, weight: std::num::NonZeroU32::MIN }
    }

    /// As requests of clients have it: an origin may serve several names.
    #[test]
    fn a_check_names_the_origin_as_requests_do() {
        for (url, host, path) in [
            ("https://origin.example", "origin.example", "/health"),
            ("https://origin.example:8443/api", "origin.example:8443", "/api/health"),
            ("http://origin.example:80", "origin.example", "/health"),
            ("http://[::1]:8000", "[::1]:8000", "/health"),
        ] {
            let request = request(&Document::default(), &origin(url)).expect("a request");
            assert_eq!((&request.headers()["host"], request.uri().path()), (&host.parse().unwrap(), path));
        }
    }

    #[test]
    fn a_page_without_end_is_judged_by_its_head() {
        crate::rt::local().unwrap().block_on(async {
            for (status, expected) in [("200 OK", Ok(())), ("503 no", Err("status 503".to_owned()))] {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let origin = origin(&format!("http://{}", listener.local_addr().unwrap()));
                let pours = spawn_local(async move {
                    let mut client = listener.accept().await.unwrap().0;
                    client.read_u8().await.unwrap();
                    client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
                    while client.write_all(&[b'x'; 4096]).await.is_ok() {}
                });
                assert_eq!(ask(&Document::default(), &origin).await, expected);
                pours.await.unwrap();
            }
        });
    }
}
