//! What the gateway knows about paths: the built-in rules of contract section 4 ([`builtin`]) and the document's
//! `[[routes]]`, compiled into one [`Table`].

use alloc::string::String;

use crate::config::{RouteAuth, RouteCache, RouteLimit};

mod builtin;
mod pattern;
mod table;
#[cfg(test)]
mod tests;

pub use pattern::Pattern;
pub(crate) use table::Table;

/// One compiled rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The matched pattern, `/api/v1/jobs/{id}`: the label of metrics. `other` where no rule matched.
    pub pattern: String,
    /// What the gateway knows about it.
    pub kind: RouteKind,
    /// Who may pass.
    pub auth: RouteAuth,
    /// Caching.
    pub cache: RouteCache,
    /// The limit in place of the default one, and its factor.
    pub limit: Option<RouteLimit>,
    /// How many times the default limit: 10 for polling.
    pub limit_factor: u32,
    /// Ms until response headers.
    pub timeout_ms: u64,
    /// Further origins for idempotent requests.
    pub retries: u32,
    /// Path at the origin, where it differs.
    pub origin_path: Option<String>,
}

/// What a route means to the plugins that learn from traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Nothing special.
    Proxy,
    /// `POST /api/v1/workers/register`
    Register,
    /// `POST /api/v1/workers/{id}/refresh-token`
    RefreshToken,
    /// `POST /api/v1/workers/{id}/verify`
    Verify,
    /// `POST /api/v1/workers/{id}/heartbeat`, one of the seven
    Heartbeat,
    /// `POST …/going-offline` or `…/offline`, two of the seven
    Offline,
    /// Others of the seven calls where the origin checks the token
    WorkerChecked,
    /// Any other call under `/api/v1/workers/{id}/`
    WorkerOther,
    /// `POST /api/v1/jobs`
    JobSubmit,
    /// `POST /api/v1/jobs/sync`
    JobSubmitSync,
    /// `GET /api/v1/jobs/{id}`
    JobRead,
    /// `DELETE /api/v1/jobs/{id}`
    JobCancel,
    /// Whatever else is about one job: below `/api/v1/jobs/{id}/`, or another method on it
    JobOther,
    /// `GET /api/v1/workers`, answered by the gateway
    Workers,
    /// Below `/gateway/`, or `METRICS_PATH`
    Own,
}
