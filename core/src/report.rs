//! The gateway's own pages (contract section 8): which one was asked for, and the facts the shell adds.

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use crate::{event::Listening, flow::Flow, gateway::Gateway, origins::OriginView, verdict::Reply};

/// A page that was asked for and allowed. Give it [`Status`] with [`Report::render`].
pub struct Report {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) flow: Box<Flow>,
    pub(crate) page: Page,
}

/// Which page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/gateway/health`
    Health,
    /// `/gateway/health/detailed`
    HealthDetailed,
    /// `/gateway/livez`
    Live,
    /// `/gateway/readyz`
    Ready,
    /// `METRICS_PATH`
    Metrics,
    /// `/gateway/plugins`
    Plugins,
    /// `/gateway/plugins/{name}`
    Plugin(String),
    /// `/gateway/config`
    Config,
    /// `/gateway/config/history`
    ConfigHistory,
    /// `/gateway/config/rollback`
    ConfigRollback,
    /// `/gateway/cache/purge`
    CachePurge,
    /// `/gateway/keys`
    Keys,
    /// `/gateway/keys/{id}`
    Key(String),
    /// `/gateway/keys/{id}/rotate`
    KeyRotate(String),
    /// `/gateway/events`
    Events(Listening),
    /// `/gateway/ui`
    Ui,
}

/// Whether a listener can be told of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscription {
    /// This build tells nobody.
    #[default]
    Unavailable,
    /// As many listen as may.
    Full,
    /// The stream begins.
    Open,
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus's text format, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What the shell knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Since start, ms.
    pub uptime_ms: u64,
    /// Exposition text in the format of [`Report::metrics`]; empty where that is none.
    pub metrics: String,
    /// The store.
    pub store: StoreStatus,
    /// Each origin.
    pub origins: Vec<OriginView>,
    /// Resident memory in bytes, where the platform tells.
    pub memory_bytes: Option<u64>,
    /// Open connections, where the platform tells.
    pub connections: Option<u64>,
    /// What becomes of the listener whom [`Report::listening`] names.
    pub subscription: Subscription,
    /// Plugins that failed lately: [`Failures::recent`](crate::plugin::Failures::recent).
    pub failing: Vec<&'static str>,
}

/// The store as the shell last saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// `embedded`, `tcp`, `cluster`, `sentinel`, `rest`, `spin`; `none` where there is none, and empty until it was asked.
    pub mode: &'static str,
    /// Whether it answered last.
    pub up: bool,
    /// Its last round trip, microseconds.
    pub latency_us: Option<u64>,
    /// Why it is down, for the operator; never holds a credential.
    pub error: Option<String>,
}

impl Report {
    /// Which page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// What is to be told to whom, where the page is the stream of events.
    pub fn listening(&self) -> Option<&Listening> {
        match &self.page {
            Page::Events(listening) => Some(listening),
            _ => None,
        }
    }

    /// Workers online by region, where the page is that of metrics and the store told.
    pub fn workers(&self) -> Option<BTreeMap<String, u64>> {
        self.flow.counted.as_ref()?.workers.clone()
    }

    /// Renders the page.
    pub fn render(self, status: &Status) -> Reply {
        crate::plugins::health::render(self, status)
    }
}
