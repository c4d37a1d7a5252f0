//! Two simulated GPU workers. They talk to the gateway as real ones do: register, heartbeat, poll for jobs,
//! complete them; so that the worker list and the learned tokens of the demo are the real thing.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};

/// What a simulated worker says of itself.
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    pub(super) gpu_model: &'static str,
    pub(super) gpu_memory_gb: u32,
}

/// The demo's two.
pub(super) const PROFILES: [Profile; 2] = [
    Profile { name: "demo-west", region: "us-west", gpu_model: "NVIDIA L40S", gpu_memory_gb: 48 },
    Profile { name: "demo-central", region: "eu-central", gpu_model: "NVIDIA RTX 4090", gpu_memory_gb: 24 },
];

/// Works for ever through the gateway at `gateway`; tries again while it cannot be reached.
pub(super) async fn work(gateway: SocketAddr, profile: &'static Profile) {
    loop {
        // The gateway may still be starting, or may have restarted: begin anew.
        let _ = session(gateway, profile).await;
        tokio::time::sleep(POLL).await;
    }
}

async fn session(gateway: SocketAddr, profile: &Profile) -> Option<()> {
    let registration = json!({
        "name": profile.name,
        "region": profile.region,
        "gpu_model": profile.gpu_model,
        "gpu_memory_gb": profile.gpu_memory_gb,
        "gpu_count": 1,
        "supported_types": ["llm", "image_gen"],
    });
    let registered = call(gateway, Method::POST, "/api/v1/workers/register", "", &registration).await?;
    let id = registered["worker_id"].as_str()?.to_owned();
    let token = registered["token"].as_str()?.to_owned();
    let at = |rest: &str| format!("/api/v1/workers/{id}/{rest}");
    let mut next_heartbeat = Instant::now();
    loop {
        if Instant::now() >= next_heartbeat {
            heartbeat(gateway, &at("heartbeat"), &token, profile, None).await?;
            next_heartbeat = Instant::now() + HEARTBEAT;
        }
        let job = call(gateway, Method::GET, &at("next-job"), &token, &Value::Null).await?;
        if let Some(job) = job["job_id"].as_str() {
            heartbeat(gateway, &at("heartbeat"), &token, profile, Some(job)).await?;
            tokio::time::sleep(WORK).await;
            let done =
                json!({"success": true, "result": {"text": "done by the demo"}, "processing_time_ms": 1500});
            call(gateway, Method::POST, &at(&format!("jobs/{job}/complete")), &token, &done).await?;
            next_heartbeat = Instant::now();
        } else {
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn heartbeat(
    gateway: SocketAddr,
    path: &str,
    token: &str,
    profile: &Profile,
    job: Option<&str>,
) -> Option<Value> {
    let used = if job.is_some() { profile.gpu_memory_gb / 2 } else { 1 };
    let beat = json!({
        "status": if job.is_some() { "busy" } else { "online" },
        "current_job_id": job,
        "gpu_memory_used_gb": used,
        "config_version": 0,
    });
    call(gateway, Method::POST, path, token, &beat).await
}

/// One call on a connection of its own; none where it did not end in 2xx.
async fn call(gateway: SocketAddr, method: Method, path: &str, token: &str, body: &Value) -> Option<Value> {
    let socket = TcpStream::connect(gateway).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.ok()?;
    let driver = tokio::task::spawn_local(connection);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", gateway.to_string())
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("x-worker-token", token);
    }
    let response = sender.send_request(request.body(Full::new(body)).ok()?).await.ok()?;
    let success = response.status().is_success();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    driver.abort();
    if success { serde_json::from_slice(&body).ok() } else { None }
}

/// Often enough that a person sees it; the backend's own default is 30 s.
const HEARTBEAT: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(500);

/// How long a simulated job takes.
const WORK: Duration = Duration::from_millis(1500);
