//! What an instance writes behind its clients' backs. Counts can wait for those of other requests; whatever a later request may ask
//! for cannot, and takes along what waits.

use acip_core::{
    store::Batch,
    telemetry::{Gathered, Owed},
};

use super::Instance;
use crate::Ports;

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Waiting {
    counts: Gathered,
    /// Until then it is somebody's business to write it, unix ms.
    until_ms: u64,
}

/// When a batch is to be written.
pub(crate) enum Due {
    /// At once.
    Now(Batch),
    /// [`Instance::gathered`], after the pause.
    Later,
    /// By another request.
    WithOthers,
}

impl Instance {
    /// Lets a batch wait for others, for so many ms at most, where it is nothing but counts.
    pub(crate) fn gather(&self, mut batch: Batch, pause_ms: u64) -> Due {
        let mut waiting = self.waiting.borrow_mut();
        let has_none = batch.ops.is_empty();
        waiting.counts.take_from(&mut batch.ops);
        if has_none || !batch.ops.is_empty() || waiting.counts.is_full() {
            batch.ops.extend(waiting.counts.take());
            return Due::Now(batch);
        }
        // Whose business it was may have been ended by the platform.
        if batch.now_ms < waiting.until_ms {
            return Due::WithOthers;
        }
        waiting.until_ms = batch.now_ms.saturating_add(pause_ms);
        Due::Later
    }

    /// What has waited until now; none where another request took it along.
    pub(crate) fn gathered(&self, now_ms: u64) -> Option<Batch> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.until_ms = 0;
        waiting.counts.take().map(|op| Batch { now_ms, ops: vec![op] })
    }

    /// Writes a batch, and with it what the fleet has not been told yet: how exports went, and the commands that found the store
    /// down.
    pub(crate) async fn write(&self, ports: &impl Ports, mut batch: Batch) {
        let all = Owed { spans: self.outbox.borrow().counts(), store_errors: self.store_errors.get() };
        let owed = all.beyond(self.told.replace(all));
        batch.ops.extend(self.fleet().and_then(|target| self.gateway().settles(target, owed)));
        if !batch.ops.is_empty() && ports.ask(&batch).await.is_err() {
            self.told.set(self.told.get().beyond(owed));
            let _ = ports.fall_back(&batch);
        }
    }
}
