//! Looks who of the workers is online, so that who listens hears of one that falls silent, or calls another gateway. It runs
//! beside the health checks, and asks only while somebody listens.

use std::time::Duration;

use acip_core::{
    plugins::worker_registry::Census,
    store::{Ask, Cells, StoreError},
};
use tokio::time::sleep;

use crate::{ports::now_ms, process::Process, store::StoreClient};

/// Looks until the process drains.
pub(crate) async fn rounds(process: &Process, store: &StoreClient) {
    let pause = if matches!(store, StoreClient::Rest(_)) { PAUSE_REST } else { PAUSE };
    loop {
        sleep(pause).await;
        if !process.events.is_heard() {
            continue;
        }
        // A store that does not answer is told of by the requests that miss it.
        if let Err(error) = look(process, store).await {
            tracing::debug!(%error, "no look at the list of workers");
        }
    }
}

async fn look(process: &Process, store: &StoreClient) -> Result<(), StoreError> {
    let live = process.live.load_full();
    let document = live.gateway.document();
    let now_ms = now_ms();
    let mut ask = Ask::new(now_ms);
    let slot = Census::new(document).ask(&mut ask);
    let row = store.ask(&ask.into_batch()).await?;
    if let Some(online) = Census::online(&Cells(&row), slot, now_ms) {
        process.events.compare(&online, now_ms, document);
    }
    Ok(())
}

/// A worker is late after a minute and a half: what comes on top is little.
const PAUSE: Duration = Duration::from_secs(2);
/// An endpoint counts what it is asked.
const PAUSE_REST: Duration = Duration::from_secs(10);
