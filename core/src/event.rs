//! What happened, as names and facts (contract section 9). Metrics, logs, job tracking and the event stream are
//! folds over lists of these.

mod line;
mod publish;
mod wanted;

use alloc::string::String;

pub use line::line;
pub use publish::Publisher;
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

/// Writes the list of names, and the name of each.
macro_rules! names {
    ($($kind:ident $({ $($rest:tt)* })? => $name:literal,)+) => {
        /// Every name of contract section 9, and that of changes by an administrator.
        pub const NAMES: &[&str] = &[$($name),+];

        impl Event {
            /// Its name, one of [`NAMES`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind $({ $($rest)* })? => $name,)+
                }
            }
        }
    };
}

names! {
    RequestIncoming => "gateway:request:incoming",
    RequestCompleted => "gateway:request:completed",
    RequestError { .. } => "gateway:request:error",
    AuthValidated { .. } => "gateway:auth:validated",
    AuthRejected { .. } => "gateway:auth:rejected",
    LimitAllowed => "gateway:ratelimit:allowed",
    LimitExceeded { .. } => "gateway:ratelimit:exceeded",
    CacheHit { .. } => "gateway:cache:hit",
    CacheMiss => "gateway:cache:miss",
    CacheStored => "gateway:cache:stored",
    RouterSelected { .. } => "gateway:router:selected",
    RouterFailover { .. } => "gateway:router:failover",
    WorkerOnline { .. } => "gateway:worker:online",
    WorkerOffline { .. } => "gateway:worker:offline",
    WorkerUpdated { .. } => "gateway:worker:updated",
    JobSubmitted { .. } => "gateway:job:submitted",
    JobCompleted { .. } => "gateway:job:completed",
    JobFailed { .. } => "gateway:job:failed",
    HealthCheck { .. } => "gateway:health:check",
    HealthDegraded => "gateway:health:degraded",
    AdminChanged => "gateway:admin:changed",
    PluginError { .. } => "gateway:plugin:error",
}
