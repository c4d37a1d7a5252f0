//! The background search for workers that wrote their keys themselves (contract section 10). It runs beside the health
//! checks, and never on a request.

use std::{collections::BTreeSet, time::Duration};

use acip_core::{
    plugins::worker_registry::Search,
    store::{Batch, Reply, RespError, StoreError},
};
use tokio::time::sleep;

use crate::{entropy::Supply, ports::now_ms, process::Process, store::StoreClient};

/// Searches every few seconds; ends at once where the store is this process's own, which no one else writes to.
pub(crate) async fn rounds(process: &Process, store: &StoreClient) {
    if matches!(store, StoreClient::Embedded(_)) {
        return;
    }
    let mut entropy = Supply::default();
    // Gateways that were started together must not always meet.
    let mut pause = || {
        let more_ms = entropy.take().map_or(0, |chance| chance.draw % SPREAD_MS);
        Duration::from_millis(Search::INTERVAL_MS + more_ms)
    };
    sleep(pause()).await;
    store.settled().await;
    loop {
        let search = Search::new(process.live.load().gateway.document());
        match round(&search, store).await {
            Ok(0) => {}
            Ok(added) => tracing::info!(added, "workers found that no index names"),
            Err(error) => tracing::debug!(%error, "the search for workers stopped"),
        }
        sleep(pause()).await;
    }
}

/// One bounded round, from where the last one of the fleet stopped. Returns how many ids were added to the index.
///
/// # Errors
/// See [`StoreError`]; what was found until then is found again.
pub async fn round(search: &Search, store: &StoreClient) -> Result<usize, StoreError> {
    // Another gateway's turn is a nil.
    if matches!(store.command(&search.claim()).await?, Reply::Nil) {
        return Ok(0);
    }
    let (mut at, mut cursor) = match store.command(&search.resume()).await? {
        Reply::Bulk(place) => parse(&place).unwrap_or_default(),
        _ => Place::default(),
    };
    let parts = store.parts().await?;
    let mut found = BTreeSet::new();
    let mut servers = 0;
    for _ in 0..Search::STEPS {
        at %= parts.len().max(1);
        let Some(part) = parts.get(at) else { break };
        let reply = store.command_at(*part, &Search::step(&cursor.to_string())).await?;
        let (next, keys) = page(&reply)?;
        found.extend(keys.iter().filter_map(|key| Search::worker(key)));
        cursor = next;
        if cursor == 0 {
            (at, servers) = ((at + 1) % parts.len(), servers + 1);
            if servers == parts.len() {
                break;
            }
        }
    }
    store.command(&search.stop_at(&format!("{at} {cursor}"))).await?;
    let index = match store.command(&["GET", Search::INDEX]).await? {
        Reply::Bulk(raw) => Some(raw),
        _ => None,
    };
    let additions = Search::additions(&found, index.as_deref());
    let added = additions.len();
    // One at a time: others get their turn between two rewrites of a long index.
    for op in additions {
        store.ask(&Batch { now_ms: now_ms(), ops: vec![op] }).await?;
    }
    Ok(added)
}

/// Between the shortest pause and the longest.
const SPREAD_MS: u64 = 1_000;

/// A server's place among [`StoreClient::parts`], and its cursor.
type Place = (usize, u64);

fn parse(place: &[u8]) -> Option<Place> {
    let (at, cursor) = std::str::from_utf8(place).ok()?.split_once(' ')?;
    Some((at.parse().ok()?, cursor.parse().ok()?))
}

/// The next cursor and the keys of a `SCAN`.
fn page(reply: &Reply) -> Result<(u64, Vec<Vec<u8>>), StoreError> {
    let text = |reply: &Reply| match reply {
        Reply::Bulk(text) | Reply::Status(text) => Some(text.to_vec()),
        _ => None,
    };
    if let Reply::Array(parts) = reply
        && let [cursor, Reply::Array(keys)] = parts.as_slice()
        && let Some(cursor) = text(cursor).and_then(|text| String::from_utf8(text).ok()?.parse().ok())
    {
        return Ok((cursor, keys.iter().filter_map(text).collect()));
    }
    Err(StoreError::Protocol(RespError::NotARow))
}
