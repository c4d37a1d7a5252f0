//! What happened, as names and facts (contract section 9). Metrics, logs, job tracking and the event stream are
//! folds over lists of these.

mod line;
mod wanted;

use alloc::string::String;

pub use line::line;
pub use wanted::{Listening, Wanted};

use crate::origins::OriginId;

/// One event. None carries a credential.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `gateway:request:incoming`
    RequestIncoming,
    /// `gateway:request:completed`
    RequestCompleted,
    /// `gateway:request:error`: the gateway or the origin failed.
    RequestError {
        /// A fixed word.
        reason: &'static str,
    },
    /// `gateway:auth:validated`
    AuthValidated {
        /// Record id of the credential.
        id: String,
    },
    /// `gateway:auth:rejected`
    AuthRejected {
        /// A fixed word: `missing`, `unknown`, `expired`, `foreign`, `limited`, …
        reason: &'static str,
    },
    /// `gateway:ratelimit:allowed`
    LimitAllowed,
    /// `gateway:ratelimit:exceeded`
    LimitExceeded {
        /// The limit's name.
        limit: String,
    },
    /// `gateway:cache:hit`; `stale` where past its freshness.
    CacheHit {
        /// Served past its freshness.
        stale: bool,
    },
    /// `gateway:cache:miss`
    CacheMiss,
    /// `gateway:cache:stored`
    CacheStored,
    /// `gateway:router:selected`
    RouterSelected {
        /// First choice.
        origin: OriginId,
    },
    /// `gateway:router:failover`
    RouterFailover {
        /// The origin that failed.
        from: OriginId,
    },
    /// `gateway:worker:online`
    WorkerOnline {
        /// Its id.
        worker: String,
        /// Its region, if known.
        region: Option<String>,
    },
    /// `gateway:worker:offline`
    WorkerOffline {
        /// Its id.
        worker: String,
    },
    /// `gateway:worker:updated`
    WorkerUpdated {
        /// Its id.
        worker: String,
        /// Its region, if known.
        region: Option<String>,
        /// Whether it is up: one that is going offline, or stays so, is not.
        up: bool,
    },
    /// `gateway:job:submitted`
    JobSubmitted {
        /// Its id.
        job: String,
    },
    /// `gateway:job:completed`
    JobCompleted {
        /// Its id.
        job: String,
    },
    /// `gateway:job:failed`
    JobFailed {
        /// Its id.
        job: String,
    },
    /// `gateway:health:check`
    HealthCheck {
        /// Which origin.
        origin: OriginId,
        /// Whether it answered well.
        healthy: bool,
    },
    /// `gateway:health:degraded`: the store did not answer.
    HealthDegraded,
    /// `gateway:admin:changed`: what, the request's record tells.
    AdminChanged,
    /// `gateway:plugin:error`
    PluginError {
        /// Its name.
        plugin: &'static str,
        /// What went wrong; nothing of the request.
        detail: String,
    },
}

/// Every name of contract section 9, and that of changes by an administrator.
pub const NAMES: [&str; 22] = [
    "gateway:request:incoming",
    "gateway:request:completed",
    "gateway:request:error",
    "gateway:auth:validated",
    "gateway:auth:rejected",
    "gateway:ratelimit:allowed",
    "gateway:ratelimit:exceeded",
    "gateway:cache:hit",
    "gateway:cache:miss",
    "gateway:cache:stored",
    "gateway:router:selected",
    "gateway:router:failover",
    "gateway:worker:online",
    "gateway:worker:offline",
    "gateway:worker:updated",
    "gateway:job:submitted",
    "gateway:job:completed",
    "gateway:job:failed",
    "gateway:health:check",
    "gateway:health:degraded",
    "gateway:admin:changed",
    "gateway:plugin:error",
];

impl Event {
    /// The name of contract section 9.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestIncoming => "gateway:request:incoming",
            Self::RequestCompleted => "gateway:request:completed",
            Self::RequestError { .. } => "gateway:request:error",
            Self::AuthValidated { .. } => "gateway:auth:validated",
            Self::AuthRejected { .. } => "gateway:auth:rejected",
            Self::LimitAllowed => "gateway:ratelimit:allowed",
            Self::LimitExceeded { .. } => "gateway:ratelimit:exceeded",
            Self::CacheHit { .. } => "gateway:cache:hit",
            Self::CacheMiss => "gateway:cache:miss",
            Self::CacheStored => "gateway:cache:stored",
            Self::RouterSelected { .. } => "gateway:router:selected",
            Self::RouterFailover { .. } => "gateway:router:failover",
            Self::WorkerOnline { .. } => "gateway:worker:online",
            Self::WorkerOffline { .. } => "gateway:worker:offline",
            Self::WorkerUpdated { .. } => "gateway:worker:updated",
            Self::JobSubmitted { .. } => "gateway:job:submitted",
            Self::JobCompleted { .. } => "gateway:job:completed",
            Self::JobFailed { .. } => "gateway:job:failed",
            Self::HealthCheck { .. } => "gateway:health:check",
            Self::HealthDegraded => "gateway:health:degraded",
            Self::AdminChanged => "gateway:admin:changed",
            Self::PluginError { .. } => "gateway:plugin:error",
        }
    }
}
