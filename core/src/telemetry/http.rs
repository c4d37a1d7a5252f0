//! The metrics of OpenTelemetry's semantic conventions for HTTP under their Prometheus names: what the two kinds are
//! called, their labels and their buckets. It counts nothing for clients' requests, which [`super::metrics`] has by the same
//! labels; the attempts on origins are counted here ([`Attempts`]), where a process lives to be asked for them.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

use super::{
    exposition::{Page, label},
    histogram::{Exemplars, Histogram},
    metrics::{DURATION_US, Kind, Metrics, OTHER_METHOD, method_label},
};
use crate::{
    config::Document,
    outcome::{AccessRecord, Try, TryEnd},
    verdict::OriginFailure,
};

impl Metrics {
    /// `http.server.request.duration`.
    pub(super) fn http_server(&self, page: &mut Page) {
        page.family(SERVER, "histogram", "Duration of HTTP server requests.");
        for (pattern, route) in self.routes() {
            // The conventions want a route's pattern or nothing.
            let route_label = if pattern.starts_with('/') {
                format!(",{}", label("http_route", pattern))
            } else {
                String::new()
            };
            for (method, series) in route.series_by_method() {
                for (kind, duration) in series.kinds() {
                    let mut labels = request_labels(method, kind.is_some_and(|kind| kind.tls));
                    status_label(&mut labels, kind.map(|kind| kind.status));
                    labels.push_str(&route_label);
                    match kind {
                        Some(Kind { broke: true, .. }) => labels.push_str(",error_type=\"origin_broke\""),
                        Some(Kind { status, .. }) if status >= 500 => error_label(&mut labels, status),
                        _ => {}
                    }
                    page.histogram(SERVER, &labels, duration, &Exemplars::default(), is_advised);
                }
            }
        }
    }
}

/// Attempts on origins, of one thread, or of a process when merged. What finds no place among an origin's series is counted
/// without its status; origins past the cap are not counted.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    origins: Vec<Origin>,
}

#[derive(Clone, Debug)]
struct Origin {
    tls: bool,
    host: String,
    port: u16,
    kinds: Vec<(Attempt, Duration)>,
}

type Duration = Histogram<{ DURATION_US.len() }>;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempt {
    method: &'static str,
    status: Option<u16>,
    failure: Option<&'static str>,
}

impl Attempts {
    /// Counts those of a request, if they were noted. `document` says where origins are.
    pub fn record(&mut self, record: &AccessRecord, document: &Document) {
        for tried in &record.outcome.tries {
            if let Some(origin) = document.origins.get(tried.origin.0) {
                let attempt = Attempt::of(method_label(record.method.as_str()), tried);
                let duration = self.origin(origin.url.tls, &origin.url.host, origin.url.port);
                if let Some(duration) = duration.and_then(|origin| origin.duration(attempt)) {
                    duration.observe(tried.until_us.saturating_sub(tried.from_us));
                }
            }
        }
    }

    /// Adds another thread's counts.
    pub fn merge(&mut self, other: &Self) {
        for theirs in &other.origins {
            for (attempt, duration) in &theirs.kinds {
                let mine = self.origin(theirs.tls, &theirs.host, theirs.port);
                if let Some(mine) = mine.and_then(|origin| origin.duration(*attempt)) {
                    mine.merge(duration);
                }
            }
        }
    }

    /// `http.client.request.duration`, for [`super::Gauges::attempts`].
    pub fn render(&self, open_metrics: bool) -> String {
        let mut page = Page { text: String::new(), open_metrics };
        page.family(CLIENT, "histogram", "Duration of HTTP client requests.");
        for origin in &self.origins {
            for (attempt, duration) in &origin.kinds {
                let mut labels = request_labels(attempt.method, origin.tls);
                let place = label("server_address", origin.host.trim_matches(['[', ']']));
                let _ = write!(labels, ",{place},server_port=\"{}\"", origin.port);
                status_label(&mut labels, attempt.status);
                match (attempt.failure, attempt.status) {
                    (Some(failure), _) => {
                        let _ = write!(labels, ",error_type=\"{failure}\"");
                    }
                    (None, Some(status)) if status >= 400 => error_label(&mut labels, status),
                    _ => {}
                }
                page.histogram(CLIENT, &labels, duration, &Exemplars::default(), is_advised);
            }
        }
        page.text
    }

    /// Origins of a document are few; those that documents had before stay until there is no more place.
    fn origin(&mut self, tls: bool, host: &str, port: u16) -> Option<&mut Origin> {
        let same = |origin: &Origin| origin.tls == tls && origin.host == host && origin.port == port;
        if self.origins.len() < MAX_ORIGINS && !self.origins.iter().any(same) {
            self.origins.push(Origin { tls, host: host.into(), port, kinds: Vec::new() });
        }
        self.origins.iter_mut().find(|origin| same(origin))
    }
}

impl Origin {
    fn duration(&mut self, attempt: Attempt) -> Option<&mut Duration> {
        let known = |kinds: &[(Attempt, Duration)], attempt| kinds.iter().any(|(have, _)| *have == attempt);
        let full = self.kinds.len() >= MAX_KINDS && !known(&self.kinds, attempt);
        let attempt = if full { Attempt::REST } else { attempt };
        if !known(&self.kinds, attempt) {
            self.kinds.push((attempt, Histogram::new(&DURATION_US)));
        }
        self.kinds.iter_mut().find(|(have, _)| *have == attempt).map(|(_, duration)| duration)
    }
}

impl Attempt {
    /// What found no place.
    const REST: Self = Self { method: OTHER_METHOD, status: None, failure: Some(OTHER_ERROR) };

    fn of(method: &'static str, tried: &Try) -> Self {
        let (status, failure) = match tried.end {
            TryEnd::Answered(status) => (Some(status.as_u16()), None),
            TryEnd::Failed(failure) => (None, Some(OriginFailure::as_str(failure))),
            TryEnd::Left => (None, Some("client_left")),
        };
        Self { method, status, failure }
    }
}

fn request_labels(method: &str, tls: bool) -> String {
    let method = if method == OTHER_METHOD { "_OTHER" } else { method };
    let scheme = if tls { "https" } else { "http" };
    format!("http_request_method=\"{method}\",url_scheme=\"{scheme}\"")
}

fn status_label(labels: &mut String, status: Option<u16>) {
    if let Some(status) = status {
        let _ = write!(labels, ",http_response_status_code=\"{status}\"");
    }
}

fn error_label(labels: &mut String, status: u16) {
    let _ = write!(labels, ",error_type=\"{status}\"");
}

/// The bounds that the conventions advise, 5 ms to 10 s: of ours, those in between.
fn is_advised(bound_us: u64) -> bool {
    (5_000..=10_000_000).contains(&bound_us)
}

const SERVER: &str = "http_server_request_duration_seconds";
const CLIENT: &str = "http_client_request_duration_seconds";
/// The conventions' word for what has no other.
const OTHER_ERROR: &str = "_OTHER";
const MAX_ORIGINS: usize = 256;
const MAX_KINDS: usize = 64;
