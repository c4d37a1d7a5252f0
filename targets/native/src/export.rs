//! Sends the spans that wait, in the background: whichever thread comes first takes a batch, over its own connections.

use std::{rc::Rc, sync::Arc, time::Duration};

use acip_core::config::LogLevel;
use acip_shell::export;
use tokio::time::timeout;

use crate::{
    ports::NativePorts,
    process::{Thread, lock},
};

/// Sends until it is dropped: after `OTEL_BSP_SCHEDULE_DELAY`, or once a whole batch waits.
pub async fn keep(thread: Rc<Thread>) {
    loop {
        let delay_ms = thread.process.live.load().exporter.as_ref().map_or(IDLE_MS, |it| it.delay_ms());
        // One that waits out the delay has nothing to be told.
        let _ = timeout(Duration::from_millis(delay_ms.max(1)), thread.process.batch_waits.notified()).await;
        while send(&thread).await {}
    }
}

/// At the end: sends what waits, but no longer than the process may take for it.
pub async fn last(thread: &Rc<Thread>) {
    let _ = timeout(LAST, async { while send(thread).await {} }).await;
}

/// Sends one batch. Whether there was one.
async fn send(thread: &Rc<Thread>) -> bool {
    let process = &thread.process;
    let live = process.live.load_full();
    let Some(exporter) = live.exporter.clone() else { return false };
    let batch = lock(&process.outbox).take(&exporter);
    if batch.is_empty() {
        return false;
    }
    let ports = NativePorts::new(thread, Arc::clone(&live), None);
    let failure = export::post(&ports, &exporter, &batch).await.err();
    let change = lock(&process.outbox).exported(batch.len(), failure.as_deref());
    if let Some(change) = change {
        let (level, message, detail) = change.told();
        let detail = detail.unwrap_or_default();
        match level {
            LogLevel::Warn => tracing::warn!(detail, "{message}"),
            _ => tracing::info!("{message}"),
        }
    }
    true
}

/// Between looks at a configuration that exports nothing.
const IDLE_MS: u64 = 1_000;
/// For the spans that a process leaves behind.
const LAST: Duration = Duration::from_secs(2);
