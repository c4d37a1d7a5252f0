//! Follows jobs that were submitted through this process, so that who listens hears of their end although no client
//! asks for it. It runs beside the health checks, and asks only while somebody listens.

use std::{sync::Arc, time::Duration};

use acip_core::{
    plugins::job_tracker::Following,
    store::{Ask, Cells, StoreError},
};
use tokio::time::sleep;

use crate::{ports::now_ms, process::Process, store::StoreClient};

/// Looks until the process drains; ends at once where the store is this process's own, which no one else writes to.
pub(crate) async fn rounds(process: &Process, store: &StoreClient) {
    let pause = match store {
        StoreClient::Embedded(_) => return,
        StoreClient::Rest(_) => PAUSE_REST,
        StoreClient::Tcp(_) | StoreClient::Cluster(_) => PAUSE,
    };
    loop {
        sleep(pause).await;
        let jobs = if process.events.is_heard() { process.events.jobs().look() } else { Vec::new() };
        if jobs.is_empty() {
            continue;
        }
        // A store that does not answer is told of by the requests that miss it.
        if let Err(error) = look(process, store, &jobs).await {
            tracing::debug!(%error, "no look at the records of jobs");
        }
    }
}

async fn look(process: &Process, store: &StoreClient, jobs: &[Arc<str>]) -> Result<(), StoreError> {
    let mut ask = Ask::new(now_ms());
    let slots: Vec<_> = jobs.iter().map(|job| ask.get(Following::key(job))).collect();
    let row = store.ask(&ask.into_batch()).await?;
    let live = process.live.load_full();
    for (job, slot) in jobs.iter().zip(slots) {
        let record = Cells(&row).bytes(slot);
        let ended = process.events.jobs().learns(job, record.as_deref());
        if let Some(event) = ended {
            process.events.tell_one(&event, live.gateway.document());
        }
    }
    Ok(())
}

const PAUSE: Duration = Duration::from_millis(500);
/// An endpoint counts what it is asked.
const PAUSE_REST: Duration = Duration::from_secs(5);
