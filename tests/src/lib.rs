//! Harness for the end-to-end tests: real processes on free ports of loopback, each ended by its handle.
//! Start at [`Gateway`], [`Origin`], [`Redis`], [`RedisProxy`]; requests are made with [`Http`].

mod bridge;
pub mod cached;
mod cli;
mod collector;
mod counter;
mod feature;
mod gateway;
mod http;
mod origin;
mod postgres;
mod process;
mod proxy;
mod redis;
mod stand;
mod subscriber;
mod target;
mod wasmtime;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

pub use bridge::Bridge;
pub use cli::{Cli, Ended, create_key};
pub use collector::{Collector, Seen, hex as collector_hex};
pub use counter::Counter;
pub use feature::{Feature, supported};
pub use gateway::{Gateway, gateway_binary};
pub use http::{Answer, Call, Http, raw, status_line};
pub use origin::Origin;
pub use postgres::Postgres;
pub use proxy::RedisProxy;
pub use redis::Redis;
pub use stand::Stand;
pub use subscriber::Subscriber;
pub use target::{Target, Transport};
pub use wasmtime::Wasmtime;

/// The API key that [`Gateway::start`] configures, of the tenant `test`.
pub const KEY: &str = "test-key-0123456789";

/// A second key, of the tenant `other`.
pub const OTHER_KEY: &str = "other-key-0123456789";

/// The admin token that [`Gateway::start`] configures.
pub const ADMIN: &str = "admin-token-0123456789";

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// Waits until a condition holds; fails with `what` after a generous time.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// As [`wait_until`], for conditions that ask a server.
pub async fn wait_for<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Long enough for a loaded machine; a condition that holds ends the wait at once.
const PATIENCE: Duration = Duration::from_secs(30);
