//! Publishes events in Redis (`EVENTS_PUBLISH`). One listener of this process's events sends what has gathered, many in one
//! command, so no request waits for it. Nothing is kept for a store that does not answer.

use std::{sync::Arc, time::Duration};

use acip_core::{event::Publisher, store::Batch};
use tokio::time::sleep;

use crate::{events::Listener, ports::now_ms, process::Process, store::StoreClient};

/// Publishes until the process drains; ends at once where the store is this process's own, which nobody else can subscribe to.
pub(crate) async fn rounds(process: &Process, store: &StoreClient) {
    if matches!(store, StoreClient::Embedded(_)) {
        return;
    }
    let mut listener = None;
    loop {
        let live = process.live.load_full();
        let Some(publisher) = live.gateway.publisher() else {
            listener = None;
            sleep(PAUSE).await;
            continue;
        };
        // Nothing else takes a place there.
        let listening = || process.events.publisher(process.phase.subscribe()).ok();
        let Some(current) = listener.take().or_else(listening) else { return };
        let current = listener.insert(current);
        while Arc::ptr_eq(&process.live.load(), &live) {
            round(store, current, publisher).await;
        }
    }
}

async fn round(store: &StoreClient, listener: &mut Listener, publisher: &Publisher) {
    let (lines, missed) = listener.lines(MOST);
    if missed > 0 {
        tracing::warn!(missed, "events came faster than the store took them; they were not published");
    }
    if lines.is_empty() {
        tokio::select! {
            () = listener.changed() => {}
            () = sleep(PAUSE) => {}
        }
        return;
    }
    let ops = lines.iter().map(|line| publisher.op(line)).collect();
    if let Err(error) = store.ask(&Batch { now_ms: now_ms(), ops }).await {
        tracing::debug!(%error, lost = lines.len(), "events were not published");
    }
}

/// Messages in one command.
const MOST: usize = 256;
/// How soon another configuration is noticed.
const PAUSE: Duration = Duration::from_millis(500);
