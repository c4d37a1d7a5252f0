//! `failing-plugin`: fails where the document says so. `[plugins.failing-plugin] config = { at = "plan" }`, or `"judge"`,
//! `"event"`, `"panic"`; `allow = true` lets the request go on.

use std::sync::Arc;

use acip_core::{
    CompileError, Flow,
    config::Document,
    event::Event,
    plugin::{OnError, Plan, Plugin, Reaction, Ruling, Subscription},
    store::Ask,
};

/// The plugins that a case may name: the example's and this one.
pub(super) fn plugins(document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    let mut plugins = custom_plugin::plugins(document)?;
    plugins.push(Arc::new(Failing::new(document)));
    Ok(plugins)
}

struct Failing {
    at: Option<String>,
    allow: bool,
}

impl Failing {
    fn new(document: &Document) -> Self {
        let config = document.plugins.get("failing-plugin").map(|plugin| &plugin.config);
        let at = config.and_then(|config| config.get("at")?.as_str()).map(str::to_owned);
        let allow = config.and_then(|config| config.get("allow")?.as_bool()).unwrap_or_default();
        Self { at, allow }
    }

    fn fails(&self, at: &str) -> bool {
        self.at.as_deref() == Some(at)
    }
}

impl Plugin for Failing {
    fn name(&self) -> &'static str {
        "failing-plugin"
    }

    fn priority(&self) -> i32 {
        95
    }

    fn is_enabled(&self) -> bool {
        self.at.is_some()
    }

    fn on_error(&self) -> OnError {
        if self.allow { OnError::Allow } else { OnError::Deny }
    }

    fn subscriptions(&self) -> &'static [Subscription] {
        &[Subscription { event: "gateway:request:incoming", priority: 0 }]
    }

    fn on_event(&self, _: &Event, _: &mut Flow) -> Reaction {
        if self.fails("event") { Reaction::Failed("it hears nothing".into()) } else { Reaction::Pass }
    }

    fn plan(&self, _: &mut Flow, _: &mut Ask) -> Plan {
        assert!(!self.fails("panic"), "it panics");
        if self.fails("plan") {
            return Plan::Failed("it has no plan".into());
        }
        if self.fails("judge") {
            return Plan::Judge(Box::new(|_, _| Ruling::Failed("it cannot judge".into())));
        }
        Plan::Pass
    }
}
