//! `beta-plugin`: what lies below a prefix is there only for requests that ask for it with a field. Off until the document
//! says `[plugins.beta-plugin] config = { prefix = "/api/v1/beta/", field = "x-beta" }`.

use std::sync::Arc;

use acip_core::{
    CompileError, ErrorCode, Flow, Refusal,
    config::Document,
    plugin::{Plan, Plugin},
    store::Ask,
};
use http::{HeaderValue, header::HeaderName};

/// What is registered: `acip_gateway::plugins::register(custom_plugin::plugins)`.
pub fn plugins(document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    Ok(vec![Arc::new(Beta::new(document))])
}

/// The plugin: its settings, and nothing of any request.
struct Beta {
    settings: Option<(String, HeaderName)>,
}

impl Beta {
    fn new(document: &Document) -> Self {
        let config = document.plugins.get("beta-plugin").map(|plugin| &plugin.config);
        let text = |key| config.and_then(|config| config.get(key)?.as_str());
        let field = text("field").and_then(|name| name.parse().ok());
        Self { settings: text("prefix").map(str::to_owned).zip(field) }
    }
}

impl Plugin for Beta {
    fn name(&self) -> &'static str {
        "beta-plugin"
    }

    fn priority(&self) -> i32 {
        95 // after auth-plugin (100), before rate-limit-plugin (90)
    }

    fn is_enabled(&self) -> bool {
        self.settings.is_some()
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        let Some((prefix, field)) = &self.settings else { return Plan::Pass };
        if !flow.request.head.uri.path().starts_with(prefix) {
            return Plan::Pass;
        }
        if !flow.request.head.headers.contains_key(field) {
            return Plan::Refuse(Refusal::new(ErrorCode::NotFound, "beta", "no such page"));
        }
        flow.response_headers.insert("x-beta", HeaderValue::from_static("yes"));
        Plan::Pass
    }
}
