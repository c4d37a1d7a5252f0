//! The dashboard in a real browser, driven by `tests/node/dashboard.mjs`; screenshots go to `target/screenshots`.

use std::process::Command;

use acip_tests::{ADMIN, Feature, KEY, OTHER_KEY, Stand, root, supported};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_what_happens() {
    // It is the same page everywhere; one browser is enough.
    if !supported(&[Feature::Process]) {
        return;
    }
    let stand = Stand::start(&[("RATE_LIMIT_MAX_REQUESTS", "60")]);
    let worker = json!({"region": "us-west", "gpu_model": "RTX 4090", "gpu_memory_gb": 24});
    let worker = stand.post("/api/v1/workers/register", &worker).send().await.json();
    let (id, token) =
        (worker["worker_id"].as_str().expect("an id"), worker["token"].as_str().expect("a token"));
    let beat = json!({"status": "online", "gpu_memory_used_gb": 7});
    let beat = stand.post(&format!("/api/v1/workers/{id}/heartbeat"), &beat).token(token).send().await;
    assert_eq!(beat.status, 200);
    let made = stand.post("/gateway/keys", &json!({"name": "shown"})).bearer(ADMIN).send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let http = stand.http();
    let load = tokio::spawn(async move {
        loop {
            for path in ["/_test/echo", "/api/v1/queue/stats"] {
                http.get(path).key(OTHER_KEY).send().await;
            }
        }
    });
    let screenshots = root().join("target/screenshots");
    std::fs::create_dir_all(&screenshots).expect("a folder");
    let mut browser = Command::new("node");
    browser
        .arg(root().join("tests/node/dashboard.mjs"))
        .args([&stand.gateway.url(), ADMIN, KEY])
        .arg(screenshots);
    let output =
        tokio::task::spawn_blocking(move || browser.output()).await.expect("runs").expect("node starts");
    load.abort();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{told}", String::from_utf8_lossy(&output.stdout));
}
