//! Signals: drain, end, reload.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    process::{Live, Phase, Process},
    server::Reload,
};

/// What signals act upon.
pub struct Signals {
    /// The process.
    pub process: Arc<Process>,
    /// Reads the document anew.
    pub reload: Reload,
    /// Time for what is under way.
    pub grace: Duration,
}

impl Signals {
    /// Watches until the process has been told to stop. Blocks.
    pub fn watch(self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let watched = runtime.and_then(|runtime| runtime.block_on(self.run()));
        if let Err(error) = watched {
            tracing::error!(%error, "signals cannot be watched");
        }
    }

    async fn run(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                () = ending(&mut terminate, &mut interrupt) => break,
                _ = hangup.recv() => self.reload(),
            }
        }
        tracing::info!(grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX), "draining");
        self.process.draining.store(true, Relaxed);
        self.process.phase.send_replace(Phase::Draining);
        tokio::select! {
            () = ending(&mut terminate, &mut interrupt) => tracing::warn!("a second signal: ending now"),
            () = sleep(self.grace) => tracing::warn!("the grace period is over: ending now"),
        }
        self.process.phase.send_replace(Phase::Stopped);
        Ok(())
    }

    fn reload(&self) {
        let errors = match (self.reload)() {
            Ok(document) => match Live::compile(document) {
                Ok(live) => {
                    self.process.live.store(Arc::new(live));
                    tracing::info!("configuration reloaded");
                    return;
                }
                Err(error) => vec![error.to_string()],
            },
            Err(errors) => errors,
        };
        for error in errors {
            tracing::error!(error, "the new configuration is bad; the old one stays");
        }
    }
}

async fn ending(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
