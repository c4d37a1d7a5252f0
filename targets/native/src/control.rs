//! Signals: drain, end, reload. What a reload cannot change is said by [`waits_for_start`].

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use acip_core::config::{Document, waits_for_start};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    process::{Phase, Process},
    server::{Reload, obstacles},
};

/// What signals act upon.
pub struct Signals {
    /// The process.
    pub process: Arc<Process>,
    /// The document that the process started with.
    pub started: Arc<Document>,
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
        // What a start would refuse, a reload refuses: else the next start would be the first to tell.
        let read = (self.reload)().and_then(|document| {
            let errors: Vec<String> = obstacles(&document).iter().map(ToString::to_string).collect();
            if errors.is_empty() { Ok(document) } else { Err(errors) }
        });
        let errors = match read {
            Ok(document) => {
                let waiting: Vec<&str> = waits_for_start(&self.started, &document).collect();
                match self.process.rebase(document) {
                    Ok(()) => {
                        tracing::info!("configuration reloaded");
                        if !waiting.is_empty() {
                            let settings = waiting.join(", ");
                            tracing::warn!(settings, "these settings changed and count only after a restart");
                        }
                        return;
                    }
                    Err(errors) => errors,
                }
            }
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
