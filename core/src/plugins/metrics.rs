//! The switch for metrics, and what their page asks the store: which workers are online, and the counters of a fleet.
//! Counting is a fold over what every request leaves behind ([`crate::telemetry::metrics`]); the page is [`super::health`]'s.

use alloc::{boxed::Box, sync::Arc};

use super::worker_registry::Census;
use crate::{
    config::Document,
    flow::Flow,
    plugin::{Plan, Plugin, Ruling, Source},
    report::Page,
    store::Ask,
    telemetry::{fleet::MAX_READ, metrics::Metrics as Counters},
};

/// The plugin.
pub struct Metrics {
    enabled: bool,
    census: Arc<Census>,
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
        Self { enabled: document.metrics.enabled, census: Arc::new(Census::new(document)) }
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

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        if flow.page != Some(Page::Metrics) {
            return Plan::Pass;
        }
        let fleet = flow.fleet.as_ref().zip(flow.request.facts.fleet);
        let hash = fleet.map(|(fleet, target)| ask.hash(fleet.key(target), MAX_READ));
        let workers = self.census.ask(ask);
        let census = Arc::clone(&self.census);
        Plan::Judge(Box::new(move |flow, answers| {
            // While the store is down, the page tells what this process or instance has counted, and of no workers.
            if answers.source == Source::Store {
                let fields = hash.and_then(|hash| answers.cells.hash(hash)).unwrap_or_default();
                let mut counted = Counters::from_fields(&fields);
                counted.tell_workers(census.count(flow, answers, workers));
                flow.counted = Some(Box::new(counted));
            }
            Ruling::Pass
        }))
    }
}
