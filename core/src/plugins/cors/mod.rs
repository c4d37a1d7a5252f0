//! Cross-origin requests from browsers (Fetch standard, HTTP-CORS protocol). The gateway alone speaks CORS; what
//! an origin says of it is removed on the way out.
//!
//! A preflight is answered here with 204, before anybody is asked anything. An origin that is not allowed gets the
//! same 204 without a single `Access-Control-Allow-…`: the browser then refuses on its own, and other clients were never
//! bound by CORS. The gateway's own pages never answer to `*`: a page on the web could read them through an
//! operator's browser, where the loopback address alone opens them.

use alloc::{string::String, vec::Vec};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{
    arrival::is_preflight,
    config::{CorsOrigins, Document},
    flow::Flow,
    http::list,
    plugin::{Plan, Plugin},
    routes::RouteKind,
    store::Ask,
    verdict::Answer,
};

#[cfg(test)]
mod tests;

/// `cors-plugin`.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: CorsOrigins,
    methods: HeaderValue,
}

impl Cors {
    /// Prepares the fields.
    pub fn new(document: &Document) -> Self {
        let names: Vec<&str> = document.cors.methods.iter().map(Method::as_str).collect();
        let methods = HeaderValue::try_from(names.join(", "));
        Self { origins: document.cors.origins.clone(), methods: methods.unwrap_or(NO_METHODS) }
    }

    /// Sets what this origin is told on any answer. Returns whether it is allowed.
    fn grant(&self, origin: Option<&HeaderValue>, own: bool, headers: &mut HeaderMap) -> bool {
        match &self.origins {
            CorsOrigins::Any => {
                // `*` is the same for everybody, so caches need no `Vary`, and it never goes with credentials.
                let allowed = origin.is_some() && !own;
                if allowed {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                }
                allowed
            }
            CorsOrigins::List(list) => {
                // Also where no origin came: a cache must not give that answer to one that does.
                list::vary_on(headers, "Origin");
                let Some(origin) =
                    origin.filter(|origin| list.iter().any(|have| have.as_bytes() == origin.as_bytes()))
                else {
                    return false;
                };
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                true
            }
        }
    }

    /// Says on the answer to this request whether its origin may read it. Returns whether it may.
    fn admit(&self, flow: &mut Flow) -> bool {
        let mut origins = flow.request.head.headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none());
        let own = flow.request.route.kind == RouteKind::Own;
        self.grant(origin, own, &mut flow.response_headers)
    }

    fn preflight(&self, request: &HeaderMap, allowed: bool) -> Answer {
        let mut headers = HeaderMap::new();
        for member in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
            list::vary_on(&mut headers, member);
        }
        if allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            if let Some(wanted) = wanted_fields(request) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            }
        }
        Answer { status: StatusCode::NO_CONTENT, headers, body: Bytes::new(), close: false }
    }
}

impl Plugin for Cors {
    fn name(&self) -> &'static str {
        "cors-plugin"
    }

    fn priority(&self) -> i32 {
        110
    }

    /// A page should be able to read why its request was refused.
    fn turned_away(&self, flow: &mut Flow) {
        if self.admit(flow) {
            flow.response_headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        let allowed = self.admit(flow);
        let head = &flow.request.head;
        if is_preflight(head) {
            return Plan::Answer(self.preflight(&head.headers, allowed));
        }
        if allowed {
            flow.response_headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        Plan::Pass
    }
}

/// The asked-for field names, echoed where each of them is one: `*` would leave out `Authorization`.
fn wanted_fields(request: &HeaderMap) -> Option<HeaderValue> {
    let mut names: Vec<String> = Vec::new();
    for name in list::members(request, &header::ACCESS_CONTROL_REQUEST_HEADERS) {
        names.push(HeaderName::try_from(name).ok()?.as_str().into());
    }
    if names.is_empty() || names.len() > MAX_FIELDS {
        return None;
    }
    HeaderValue::try_from(names.join(", ")).ok()
}

const NO_METHODS: HeaderValue = HeaderValue::from_static("");
/// Seconds; browsers cap it at two hours or less.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const MAX_FIELDS: usize = 64;
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-ID, X-Gateway-Version, X-Gateway-Duration, X-Gateway-Cache, Cache-Status, X-RateLimit-Limit, \
     X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, Retry-After, Proxy-Status",
);
