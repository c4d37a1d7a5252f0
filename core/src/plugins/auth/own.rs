//! The gateway's own pages (contract section 8): which one, by which method, for whom. Nothing here ever reaches an
//! origin.

use alloc::{string::String, sync::Arc, vec::Vec};
use http::{HeaderValue, Method, header};

use super::{
    Rules,
    key::{self, Need},
    refusals::forbidden,
};
use crate::{
    config::RouteAuth,
    event::Listening,
    flow::Flow,
    http::{names, target},
    plugin::Plan,
    refusal::{ErrorCode, Refusal},
    report::Page,
    request::Request,
    routes::RouteKind,
    store::Ask,
};

/// None where the request is not for a page.
pub(super) fn plan(rules: &Arc<Rules>, flow: &mut Flow, ask: &mut Ask) -> Option<Plan> {
    if flow.request.route.kind != RouteKind::Own {
        return None;
    }
    let method = &flow.request.head.method;
    let guarded = flow.request.route.auth != RouteAuth::Open;
    let page = page(rules, &flow.request);
    let has_method = page.as_ref().is_some_and(|page| methods(page).contains(method));
    let reads = matches!(*method, Method::GET | Method::HEAD) && (has_method || page.is_none());
    // A rule of the document opens a page to readers alone: else one that was meant for a dashboard would give the gateway
    // away.
    let writes = !reads && (guarded || has_method);
    if writes && !rules.has_admin_token {
        let message = "set `ADMIN_TOKEN` to be able to change the gateway while it runs";
        return Some(Plan::Refuse(forbidden(flow, "no_admin_token", message)));
    }
    let Some(page) = page else {
        let message = "the gateway has no such page";
        return Some(Plan::Refuse(Refusal::new(ErrorCode::NotFound, "page", message)));
    };
    let plan = match flow.request.route.auth {
        _ if writes => key::plan(rules, flow, ask, Need::AdminToken),
        RouteAuth::Open => Plan::Pass,
        RouteAuth::ApiKey => key::plan(rules, flow, ask, Need::Key),
        RouteAuth::Admin | RouteAuth::Worker if rules.has_admin_token => {
            key::plan(rules, flow, ask, Need::AdminToken)
        }
        RouteAuth::Admin | RouteAuth::Worker if is_local(&flow.request) => Plan::Pass,
        RouteAuth::Admin | RouteAuth::Worker => {
            let message = "set `ADMIN_TOKEN` to read this page from elsewhere than the gateway's own machine";
            Plan::Refuse(forbidden(flow, "no_admin_token", message))
        }
    };
    if matches!(plan, Plan::Pass) && !has_method {
        let refusal = Refusal::new(ErrorCode::MethodNotAllowed, "method", "this page has no such method");
        let allowed: Vec<&str> = methods(&page).iter().map(Method::as_str).collect();
        let allowed = HeaderValue::try_from(allowed.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
        return Some(Plan::Refuse(refusal.header(header::ALLOW, allowed)));
    }
    flow.page = Some(page);
    Some(plan)
}

fn page(rules: &Rules, request: &Request) -> Option<Page> {
    let pattern = request.route.pattern.as_str();
    if rules.metrics_path.as_deref() == Some(pattern) {
        return Some(Page::Metrics);
    }
    Some(match pattern {
        "/gateway/health" => Page::Health,
        "/gateway/health/detailed" => Page::HealthDetailed,
        "/gateway/livez" => Page::Live,
        "/gateway/readyz" => Page::Ready,
        "/gateway/plugins" => Page::Plugins,
        "/gateway/plugins/{name}" => Page::Plugin(named(request, 0)?),
        "/gateway/keys" => Page::Keys,
        "/gateway/keys/{id}" => Page::Key(named(request, 0)?),
        "/gateway/keys/{id}/rotate" => Page::KeyRotate(named(request, 1)?),
        "/gateway/config" => Page::Config,
        "/gateway/config/history" => Page::ConfigHistory,
        "/gateway/config/rollback" => Page::ConfigRollback,
        "/gateway/cache/purge" => Page::CachePurge,
        "/gateway/events" => Page::Events(Listening::default()),
        "/gateway/ui" => Page::Ui,
        _ => return None,
    })
}

/// The segment of the path that many places before its last.
fn named(request: &Request, place: usize) -> Option<String> {
    let path = target::read(&request.head.uri).ok()?;
    path.decoded.rsplit('/').nth(place).map(String::from)
}

/// What may be done with a page. Reads want no more than the page's own door; everything else wants `ADMIN_TOKEN`.
fn methods(page: &Page) -> &'static [Method] {
    match page {
        Page::Health
        | Page::HealthDetailed
        | Page::Live
        | Page::Ready
        | Page::Metrics
        | Page::Plugins
        | Page::ConfigHistory
        | Page::Ui => &[Method::GET, Method::HEAD],
        Page::Plugin(_) | Page::Config => &[Method::GET, Method::HEAD, Method::PATCH],
        Page::Keys => &[Method::GET, Method::HEAD, Method::POST],
        Page::Key(_) => &[Method::GET, Method::HEAD, Method::PATCH, Method::DELETE],
        Page::KeyRotate(_) => &[Method::POST],
        Page::ConfigRollback => &[Method::POST],
        Page::CachePurge => &[Method::POST],
        Page::Events(_) => &[Method::GET],
    }
}

/// Whether somebody on this very machine asks, for himself: a reverse proxy on the machine says for whom it asks, and a
/// web page that was led here by a name of its own (DNS rebinding) shows that name in `Host`.
fn is_local(request: &Request) -> bool {
    let headers = &request.head.headers;
    let passed_on = [names::X_FORWARDED_FOR, names::X_FORWARDED_HOST, names::X_FORWARDED_PROTO];
    let passed_on = passed_on.iter().any(|name| headers.contains_key(name))
        || headers.contains_key(header::FORWARDED)
        || headers.contains_key(header::VIA)
        || headers.contains_key("x-real-ip");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.head.uri.authority().map(http::uri::Authority::as_str));
    let named = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    let local_name = named.is_none_or(|authority| {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<core::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    });
    request.facts.peer.ip.to_canonical().is_loopback()
        && request.facts.hints.client.is_none()
        && !passed_on
        && local_name
}
