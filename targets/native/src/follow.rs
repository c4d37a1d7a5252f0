//! Follows what was changed in the store, so that a process without requests, and requests that ask the store nothing,
//! have it within a second. It runs beside the health checks.

use std::time::Duration;

use acip_core::{
    control,
    store::{Ask, Reply},
};
use tokio::time::sleep;

use crate::{ports::now_ms, process::Process, store::StoreClient};

/// Looks until the process drains; not at all where the store is an endpoint that counts what it is asked: there requests
/// look ([`Ports::look_is_due`](acip_shell::Ports::look_is_due)).
pub(crate) async fn rounds(process: &Process, store: &StoreClient) {
    if matches!(store, StoreClient::Rest(_)) {
        return;
    }
    loop {
        round(process, store).await;
        sleep(PAUSE).await;
    }
}

async fn round(process: &Process, store: &StoreClient) {
    let live = process.live.load_full();
    let key = control::key(live.gateway.document());
    // A store that does not answer is told of by the requests that miss it.
    if !matches!(store, StoreClient::Embedded(_)) {
        let Ok(Reply::Bulk(begins)) = store.command(&["GETRANGE", &key, "0", END]).await else { return };
        if control::version_of(&begins) == live.seen {
            return;
        }
    }
    let mut ask = Ask::new(now_ms());
    let _ = ask.watch(key, live.seen);
    let batch = ask.into_batch();
    if let Ok(row) = store.ask(&batch).await
        && let Some(text) = batch.moved(&row)
    {
        let _ = process.follow(live.seen, &text);
    }
}

/// Last byte that can be of the version.
const END: &str = "26";

/// Half the bound, so that one look that is lost does not break it.
const PAUSE: Duration = Duration::from_millis(400);
