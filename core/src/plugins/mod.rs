//! The built-in plugins, each registered here and nowhere else.

use alloc::{sync::Arc, vec::Vec};

use crate::{config::Document, gateway::CompileError, plugin::Plugin};

pub mod admin;
pub mod auth;
pub mod cache;
pub mod cel;
pub mod cors;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod job_tracker;
#[cfg(test)]
pub(crate) mod lab;
pub mod metrics;
pub mod rate_limit;
pub mod router;
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
