//! `acip-gateway demo`: gateway, embedded store, a simulated backend and two simulated workers in one process, to
//! try without installing anything. Start at [`prepare`].

mod book;
mod origin;
mod workers;

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    thread,
};

use acip_core::config::{Document, Origin, OriginUrl, Secret, StaticKey};
use tokio::sync::oneshot;

/// A demo whose backend already listens.
pub(crate) struct Demo {
    /// The gateway's configuration: the environment's, with the demo's backend and key, and nothing of what would belie
    /// the lines that are printed.
    pub(crate) document: Document,
    key: Secret,
    start_workers: oneshot::Sender<SocketAddr>,
}

/// Starts the simulated backend on a thread of its own and lays the demo over a configuration.
///
/// # Errors
/// No port or thread could be had.
pub(crate) fn prepare(mut document: Document) -> std::io::Result<Demo> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listener, address) = runtime.block_on(origin::bind())?;
    let (start_workers, gateway) = oneshot::channel();
    thread::Builder::new().name("demo".into()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            tokio::task::spawn_local(async move {
                let Ok(gateway) = gateway.await else { return };
                for profile in &workers::PROFILES {
                    tokio::task::spawn_local(workers::work(gateway, profile));
                }
            });
            origin::serve(listener).await;
        });
    })?;
    let key = Secret::new(format!("demo-{}", acip_core::hex::hex(&chance::<12>())));
    document.origins = vec![Origin {
        name: "demo".into(),
        url: OriginUrl {
            tls: false,
            host: address.ip().to_string(),
            port: address.port(),
            prefix: String::new(),
        },
        region: None,
        weight: NonZeroU32::MIN,
    }];
    document.auth.api_keys.push(StaticKey { name: "demo".into(), key: key.clone() });
    // The lines are for a store of its own, for pages that are open to this machine, for plain HTTP.
    document.store = Document::default().store;
    document.auth.admin_token = None;
    (document.server.tls_cert, document.server.tls_key) = (None, None);
    Ok(Demo { document, key, start_workers })
}

impl Demo {
    /// The gateway listens: prints what to try, and lets the workers register.
    pub(crate) fn started(self, gateway: SocketAddr) {
        let reachable = if gateway.ip().is_unspecified() {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), gateway.port())
        } else {
            gateway
        };
        let banner = banner(reachable, &self.key, self.document.rate_limit.max_requests);
        // Without a reader it serves all the same.
        let _ = writeln!(std::io::stdout(), "{banner}");
        // The receiver lives as long as the demo's thread, which outlives everything but the process.
        let _ = self.start_workers.send(reachable);
    }
}

fn banner(gateway: SocketAddr, key: &Secret, limit: u32) -> String {
    let (base, key) = (format!("http://{gateway}"), key.expose_secret());
    let over = limit.saturating_add(5);
    format!(
        r#"The ACIP gateway is running at {base} in front of a simulated GPU backend.
API key (this run only): {key}

# without a key: 401
curl -i {base}/api/v1/jobs

# submit a job, then read it back (run the second line again after two seconds: completed)
JOB=$(curl -s -X POST {base}/api/v1/jobs -H 'X-API-Key: {key}' -H 'Content-Type: application/json' -d '{{"type":"llm","params":{{"prompt":"why is the sky blue"}}}}' | sed 's/.*"job_id":"\([^"]*\)".*/\1/'); echo $JOB
curl -s {base}/api/v1/jobs/$JOB -H 'X-API-Key: {key}'

# watch its tokens arrive one by one
curl -N {base}/api/v1/jobs/$JOB/stream -H 'X-API-Key: {key}'

# queue statistics: the second answer is a cache HIT
curl -s -o /dev/null {base}/api/v1/queue/stats -H 'X-API-Key: {key}'
curl -i {base}/api/v1/queue/stats -H 'X-API-Key: {key}'

# the GPU workers, from their heartbeats
curl -s {base}/api/v1/workers -H 'X-API-Key: {key}'

# past the limit of {limit} a minute: 429 with Retry-After
for i in $(seq {over}); do curl -s -o /dev/null -w '%{{http_code}}\n' {base}/api/v1/jobs/direct/nearest -H 'X-API-Key: {key}'; done | sort | uniq -c
curl -i {base}/api/v1/jobs/direct/nearest -H 'X-API-Key: {key}'

# health and metrics
curl -s {base}/gateway/health
curl -s {base}/gateway/metrics

Ctrl-C ends it."#
    )
}

/// Fresh random bytes. Should the system have none, names repeat: a demo can live with that, a gateway could not.
fn chance<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
