//! What tests of the cache share: the two kinds of store, a path that answers as told, and waiting until it is stored.

use crate::{Answer, Call, Feature, KEY, Stand, supported, wait_for};

/// With Redis and with the embedded store: what is told of the cache must not depend on which. No limits.
pub fn stands(environment: &[(&str, &str)]) -> [Stand; 2] {
    let environment = [&[("RATE_LIMIT_ENABLED", "false")], environment].concat();
    [Stand::start(&environment), Stand::embedded(&environment)]
}

/// As [`stands`], and with Redis and a cache that the process keeps, where all requests of a gateway see one process.
pub fn all_stands(environment: &[(&str, &str)]) -> Vec<Stand> {
    let mut stands = Vec::from(stands(environment));
    if supported(&[Feature::SharedMemory]) {
        let memory = [("RATE_LIMIT_ENABLED", "false"), ("CACHE_BACKEND", "memory")];
        stands.push(Stand::start(&[&memory, environment].concat()));
    }
    stands
}

/// A request to the origin's path that answers as the query says; see `cache` in `tests/origin/mirrors.py`.
pub fn ask(stand: &Stand, query: &str) -> Call {
    stand.get(&format!("/_test/cache?{query}")).key(KEY)
}

/// What the gateway says of its cache.
pub fn told(answer: &Answer) -> &str {
    answer.header("x-gateway-cache")
}

/// Waits until an answer is stored, without asking the origin: that happens after the first one has left. Then asks.
pub async fn stored(call: impl Fn() -> Call) -> Answer {
    let look = || call().header("cache-control", "only-if-cached").send();
    wait_for("an answer is stored", || async { look().await.status != 504 }).await;
    call().send().await
}
