//! The switch for metrics. Counting is a fold over what every request leaves behind
//! ([`crate::telemetry::metrics`]); the page is [`super::health`]'s.

use crate::{
    config::Document,
    flow::Flow,
    plugin::{Plan, Plugin},
    store::Ask,
};

/// The plugin.
pub struct Metrics {
    enabled: bool,
}

impl Metrics {
    /// Its name.
    pub const NAME: &'static str = "metrics-plugin";

    /// Whether a document wants them.
    pub(crate) fn is_on(document: &Document) -> bool {
        let switch = document.plugins.get(Self::NAME).and_then(|settings| settings.enabled);
        switch.unwrap_or(document.metrics.enabled)
    }

    /// For a document.
    pub fn new(document: &Document) -> Self {
        Self { enabled: document.metrics.enabled }
    }
}

impl Plugin for Metrics {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn priority(&self) -> i32 {
        10
    }

    fn implementation(&self) -> &'static str {
        "prometheus"
    }

    fn is_enabled(&self) -> bool {
        self.enabled
    }

    fn plan(&self, _flow: &mut Flow, _ask: &mut Ask) -> Plan {
        Plan::Pass
    }
}
