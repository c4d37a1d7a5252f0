//! Signals: drain, end, reload. What a reload cannot change is listed in [`needs_restart`].

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use acip_core::config::{Document, Secret};
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
                let waiting = needs_restart(&self.started, &document);
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

/// Variables whose settings differ, and that are read only when the process starts.
fn needs_restart(started: &Document, new: &Document) -> Vec<&'static str> {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose_secret().to_owned());
    let (server, store, log) = (&started.server, &started.store, &started.log);
    [
        ("GATEWAY_HOST", server.host == new.server.host),
        ("GATEWAY_PORT", server.port == new.server.port),
        ("GATEWAY_THREADS", server.threads == new.server.threads),
        ("TLS_CERT", server.tls_cert == new.server.tls_cert),
        ("TLS_KEY", server.tls_key == new.server.tls_key),
        ("SHUTDOWN_GRACE_MS", server.shutdown_grace_ms == new.server.shutdown_grace_ms),
        ("MAX_CONNECTIONS", server.max_connections == new.server.max_connections),
        ("REDIS_URL", secret(&store.url) == secret(&new.store.url)),
        ("REDIS_PASSWORD", secret(&store.password) == secret(&new.store.password)),
        ("UPSTASH_REDIS_REST_TOKEN", secret(&store.rest_token) == secret(&new.store.rest_token)),
        ("REDIS_DB", store.db == new.store.db),
        ("REDIS_TIMEOUT", store.timeout_ms == new.store.timeout_ms),
        ("CACHE_MAX_SIZE", started.cache.max_entries == new.cache.max_entries),
        ("LOG_FORMAT", log.format == new.log.format),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}

async fn ending(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
