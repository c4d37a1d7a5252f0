//! The gateway's own pages (contract section 8). Who may read which is the auth plugin's; here is what stands on them.

use alloc::{format, string::String};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::{
    Gateway,
    config::{Document, OnStoreError},
    flow::Flow,
    http::list,
    plugin::{Plan, Plugin},
    refusal::{ErrorCode, Refusal},
    report::{MetricsFormat, Page, Report, Status, Subscription},
    routes::RouteKind,
    store::Ask,
    telemetry::Gauges,
    verdict::{Answer, Reply},
};

mod pages;
#[cfg(test)]
mod tests;
mod ui;

/// Keeps the gateway's own paths away from origins, whichever other plugins are on.
pub struct Health {
    /// A key under the gateway's prefix that nobody writes.
    probe: String,
}

impl Health {
    /// For a document.
    pub fn new(document: &Document) -> Self {
        Self { probe: format!("{}probe", document.store.key_prefix) }
    }
}

impl Plugin for Health {
    fn name(&self) -> &'static str {
        "health-plugin"
    }

    /// Last: it only catches what nobody else answered.
    fn priority(&self) -> i32 {
        0
    }

    fn stays(&self) -> bool {
        true
    }

    /// An instance that has not asked its store yet cannot say how it is, nor which changes are in force; so such a page asks, for
    /// a key that never is.
    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        if flow.request.facts.fleet.is_some()
            && matches!(
                flow.page,
                Some(Page::Health | Page::HealthDetailed | Page::Ready | Page::Plugins | Page::Plugin(_))
            )
        {
            let _ = ask.get(self.probe.clone());
        }
        if flow.request.route.kind == RouteKind::Own && flow.page.is_none() {
            return Plan::Refuse(no_such_page());
        }
        Plan::Pass
    }
}

fn no_such_page() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "page", "the gateway has no such page")
}

/// How well the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Healthy,
    /// Serves, with something missing.
    Degraded,
    /// Cannot serve.
    Unhealthy,
}

impl Condition {
    fn of(document: &Document, status: &Status) -> Self {
        // One that failed is not well again because its next try is due.
        let failing = status.origins.iter().filter(|origin| origin.failing).count();
        let refuses = !status.store.up && document.store.on_error == OnStoreError::Deny;
        if refuses || (failing > 0 && failing == status.origins.len()) {
            Self::Unhealthy
        } else if !status.store.up || failing > 0 {
            Self::Degraded
        } else {
            Self::Healthy
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    fn status(self) -> StatusCode {
        if self == Self::Unhealthy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    }
}

/// The page of one plugin, as nobody has used it yet; none where none is called so.
pub fn plugin_page(gateway: &Gateway, name: &str) -> Option<Value> {
    pages::plugin(gateway, name, &[])
}

/// Renders a page.
pub(crate) fn render(report: Report, status: &Status) -> Reply {
    let format = report.metrics();
    let Report { gateway, mut flow, page } = report;
    let document = gateway.document();
    let condition = Condition::of(document, status);
    let ready =
        !flow.request.facts.draining && (status.store.up || document.store.on_error != OnStoreError::Deny);
    let mut answer = match &page {
        Page::Live => json(StatusCode::OK, &serde_json::json!({ "status": "alive" })),
        Page::Ready if ready => json(StatusCode::OK, &serde_json::json!({ "status": "ready" })),
        Page::Ready => {
            let why = if flow.request.facts.draining { "draining" } else { "store_down" };
            json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "status": why }))
        }
        Page::Health => json(condition.status(), &pages::health(&flow, document, status, condition)),
        Page::HealthDetailed => {
            json(condition.status(), &pages::detailed(&flow, &gateway, status, condition))
        }
        Page::Plugins => json(StatusCode::OK, &pages::plugins(&gateway, &status.failing)),
        Page::Plugin(name) => match pages::plugin(&gateway, name, &status.failing) {
            Some(plugin) => json(StatusCode::OK, &plugin),
            None => {
                let message = "no plugin has this name; `GET /gateway/plugins` lists them";
                return gateway.refused(flow, Refusal::new(ErrorCode::NotFound, "plugin", message));
            }
        },
        Page::Config => json(StatusCode::OK, &document.masked()),
        Page::Ui => ui::answer(),
        Page::Events(_) => match status.subscription {
            Subscription::Open => events(),
            Subscription::Full => {
                let message = "as many listeners hear events as this gateway has places for; try again later";
                let refusal = Refusal::new(ErrorCode::Overloaded, "listeners", message);
                return gateway.refused(flow, refusal.retry_after_ms(LISTENER_PAUSE_MS));
            }
            Subscription::Unavailable => {
                let message = "this build has no stream of events; the native gateway has";
                return gateway.refused(flow, Refusal::new(ErrorCode::NotImplemented, "events", message));
            }
        },
        // INVARIANT: the admin plugin, which is always on, has answered these or left a command.
        Page::ConfigHistory
        | Page::ConfigRollback
        | Page::Keys
        | Page::Key(_)
        | Page::KeyRotate(_)
        | Page::CachePurge => return gateway.refused(flow, no_such_page()),
        Page::Metrics => {
            let open_metrics = format == Some(MetricsFormat::OpenMetrics);
            let kind = if open_metrics { OPEN_METRICS } else { PROMETHEUS };
            // The counters of the fleet rather than of this instance, where the store gave them.
            text(kind, fleet(&mut flow, open_metrics).unwrap_or_else(|| status.metrics.clone()))
        }
    };
    if matches!(page, Page::Health | Page::HealthDetailed | Page::Ready) {
        answer.headers.insert(X_GATEWAY_STORE, store_field(document, status));
    }
    gateway.conclude(flow, answer, None)
}

impl Report {
    /// How metrics are wanted; none where the page is another one.
    pub fn metrics(&self) -> Option<MetricsFormat> {
        let open = || list::accepts(&self.flow.request.head.headers, "application/openmetrics-text");
        (self.page == Page::Metrics)
            .then(|| if open() { MetricsFormat::OpenMetrics } else { MetricsFormat::Prometheus })
    }
}

fn fleet(flow: &mut Flow, open_metrics: bool) -> Option<String> {
    let gauges = Gauges { target: flow.request.facts.fleet?, ..Gauges::default() };
    let counted = flow.counted.take()?;
    Some(counted.render(&gauges, open_metrics))
}

/// `up; mode=tcp`, or how the gateway helps itself: `down; mode=local`.
fn store_field(document: &Document, status: &Status) -> HeaderValue {
    let text = if status.store.up {
        format!("up; mode={}", status.store.mode)
    } else {
        format!("down; mode={}", document.store.on_error.name())
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// The head of a stream of events (WHATWG HTML, server-sent events).
fn events() -> Answer {
    text(HeaderValue::from_static("text/event-stream"), String::new())
}

fn json(status: StatusCode, value: &Value) -> Answer {
    let body = alloc::string::ToString::to_string(value);
    Answer { status, ..text(HeaderValue::from_static("application/json"), body) }
}

fn text(kind: HeaderValue, body: String) -> Answer {
    let mut headers = http::HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, kind);
    Answer { status: StatusCode::OK, headers, body: body.into(), close: false }
}

/// Before somebody who found no place may listen.
const LISTENER_PAUSE_MS: u64 = 5_000;
const X_GATEWAY_STORE: HeaderName = HeaderName::from_static("x-gateway-store");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
