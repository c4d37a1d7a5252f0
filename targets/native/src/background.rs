//! What the process does between requests, on a thread of its own: it checks origins and plugins, searches for workers, and follows
//! what others change in the store. Those that ask the store share one connection to it, which no request waits for.

use std::{io, sync::Arc};

use futures_util::future::{join3, join5};

use crate::{
    faults, follow, health, jobs,
    process::{Phase, Process},
    publish, rt, search,
    store::StoreClient,
    workers,
};

/// Goes round until the process drains. Blocks.
///
/// # Errors
/// The runtime cannot be set up.
pub(crate) fn run(process: Arc<Process>) -> io::Result<()> {
    rt::local()?.block_on(async move {
        let mut phase = process.phase.subscribe();
        tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
            _ = join3(health::rounds(&process), faults::rounds(&process), at_the_store(&process)) => {}
        }
    });
    Ok(())
}

async fn at_the_store(process: &Process) {
    let settings = process.live.load().gateway.document().store.clone();
    // INVARIANT: the runtime threads have opened the same address before.
    let Ok(store) = StoreClient::open(&settings, Arc::clone(&process.memory)) else { return };
    join5(
        search::rounds(process, &store),
        follow::rounds(process, &store),
        jobs::rounds(process, &store),
        workers::rounds(process, &store),
        publish::rounds(process, &store),
    )
    .await;
}
