//! `acip-gateway redis-rest` in front of a real Redis: what Upstash's clients speak, and what goes wrong.

mod life;
mod limits;
mod packages;
mod protocol;
mod rights;
mod streams;

use acip_tests::{Answer, Bridge, Feature, Redis, supported, wait_for};
use http::Method;
use serde_json::Value;

/// A bridge and what it fronts.
struct Stand {
    bridge: Bridge,
    redis: Redis,
}

impl Stand {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(arguments: &[&str]) -> Self {
        let redis = Redis::start();
        let own = arguments.contains(&"--timeout");
        let arguments = if own { arguments.to_vec() } else { [&PATIENT, arguments].concat() };
        Self { bridge: Bridge::with(&redis.url(), &arguments), redis }
    }

    /// A JSON body to a path, with the token.
    async fn post(&self, path: &str, body: impl Into<String>) -> Answer {
        self.send(Method::POST, path, &[], body.into().as_bytes()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"").await
    }

    /// Waits until so many clients of Redis are blocked.
    async fn blocked(&self, clients: u32) {
        let wanted = format!("blocked_clients:{clients}");
        wait_for(&wanted, || async { self.redis.cli(&["INFO", "clients"]).contains(&wanted) }).await;
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut call = self.bridge.http().call(method, path).bearer(Bridge::TOKEN).body(body.to_vec());
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.send().await
    }
}

/// Status and body, in one comparison.
#[track_caller]
fn check(answer: &Answer, status: u16, body: &Value) {
    assert_eq!((answer.status.as_u16(), answer.json()), (status, body.clone()));
    assert_eq!(answer.header("content-type"), "application/json");
}

/// The `error` of an answer with this status.
#[track_caller]
fn error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    let fields = json.as_object().expect("an object");
    assert_eq!(fields.len(), 1, "{json}");
    fields["error"].as_str().expect("text").to_owned()
}

/// A loaded machine may take its time; where time is the point, a test gives its own.
const PATIENT: [&str; 2] = ["--timeout", "20000"];

/// These tests are about the native binary; other builds have nothing to do with them.
fn native() -> bool {
    supported(&[Feature::Process])
}
