//! The built-in plugins, each registered here and nowhere else, and the two ends of the pipeline that are not
//! plugins: [`arrival`] (head → request) and [`departure`] (decision → what goes out).

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{config::Document, gateway::CompileError, plugin::Plugin};

pub mod admin;
pub mod arrival;
pub mod auth;
pub mod cache;
pub mod cel;
pub mod cors;
pub mod departure;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod job_tracker;
pub(crate) mod json;
pub(crate) mod keyspace;
#[cfg(test)]
pub(crate) mod lab;
pub mod metrics;
pub mod rate_limit;
pub mod router;
pub mod routes;
pub mod worker_registry;

/// All built-in plugins for a document.
///
/// # Errors
/// A part of the document that does not compile.
pub fn builtin(document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    Ok(alloc::vec![
        Arc::new(cors::Cors::new(document)),
        Arc::new(auth::Auth::new(document)),
        Arc::new(cel::Cel::new(document)),
        Arc::new(rate_limit::RateLimit::new(document)?),
        Arc::new(job_tracker::JobTracker::new(document)),
        Arc::new(worker_registry::WorkerRegistry::new(document)),
        Arc::new(router::Router::new(document)),
        Arc::new(cache::Cache::new(document)?),
        Arc::new(metrics::Metrics::new(document)),
        Arc::new(admin::Admin::new(document)),
        Arc::new(health::Health::new(document)),
    ])
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    push_hex(&mut out, bytes);
    out
}

/// Writes lower-case hex.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    for chunk in bytes.chunks(CHUNK) {
        let mut digits = [0; CHUNK * 2];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(chunk) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let written = digits.get(..chunk.len().saturating_mul(2));
        // INVARIANT: digits are ASCII.
        out.push_str(written.and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default());
    }
}

/// Of a SHA-256.
const CHUNK: usize = 32;
