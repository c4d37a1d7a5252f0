//! Metrics as text: Prometheus's own format (0.0.4) or OpenMetrics 1.0.

use alloc::{format, string::String};
use core::fmt::{Display, Write as _};

use super::{
    export::SpanCounts,
    histogram::{Exemplar, Exemplars, Histogram},
    metrics::Metrics,
};

/// What only the shell knows at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Open client connections; none where no process holds any, or not all that count here.
    pub active_connections: Option<u64>,
    /// Commands sent to the store.
    pub store_round_trips: u64,
    /// Commands that it did not answer in time, or with an error.
    pub store_errors: u64,
    /// What became of spans of this process or instance alone.
    pub spans: SpanCounts,
    /// Attempts on origins, as [`super::Attempts::render`] writes them; empty where they are not counted.
    pub attempts: String,
    /// Which build: `native`, `cloudflare`, `spin`, `lambda`.
    pub target: &'static str,
}

impl Metrics {
    /// Renders everything.
    pub fn render(&self, gauges: &Gauges, open_metrics: bool) -> String {
        let mut page = Page { text: String::with_capacity(8 << 10), open_metrics };
        self.requests(&mut page, &gauges.attempts);
        let overhead = "Time not spent waiting for the origin.";
        page.family("gateway_overhead_seconds", "histogram", overhead);
        page.histogram("gateway_overhead_seconds", "", &self.overhead, &Exemplars::default(), |_| true);
        let connections = "Open client connections.";
        page.family("gateway_active_connections", "gauge", connections);
        if let Some(open) = gauges.active_connections {
            page.sample("gateway_active_connections", "", open);
        }
        page.counter("gateway_cache_hits_total", "Answers from the cache, stale ones too.", self.cache_hits);
        page.counter(
            "gateway_cache_misses_total",
            "Cache look-ups that found nothing usable.",
            self.cache_misses,
        );
        page.counter("gateway_ratelimit_rejected_total", "Requests refused by a limit.", self.limited);
        let failures = "Requests refused for their credential.";
        page.labelled("gateway_auth_failures_total", failures, "reason", &self.auth_failures);
        page.family("gateway_workers_online", "gauge", "GPU workers that the store tells of as online.");
        for (region, count) in self.workers.iter().flatten() {
            page.sample("gateway_workers_online", &label("region", region), *count);
        }
        let proxy = "Attempts on an origin that brought no response.";
        page.labelled("gateway_proxy_errors_total", proxy, "target", &self.proxy_errors);
        let plugins = "Failures within a plugin.";
        page.labelled("gateway_plugin_errors_total", plugins, "plugin", &self.plugin_errors);
        let trips = "Commands sent to the store.";
        page.counter(
            "gateway_store_round_trips_total",
            trips,
            gauges.store_round_trips + self.store_round_trips,
        );
        let errors = "Commands that the store did not answer.";
        page.counter("gateway_store_errors_total", errors, gauges.store_errors + self.store_errors);
        let exported = "Spans that every collector took.";
        page.counter("gateway_spans_exported_total", exported, gauges.spans.exported + self.spans.exported);
        let dropped = "Spans that found no place in the queue, or that a collector did not take.";
        page.counter("gateway_spans_dropped_total", dropped, gauges.spans.dropped + self.spans.dropped);
        page.family("gateway_build_info", "gauge", "Version and target of this build.");
        let labels =
            format!("{},{}", label("version", env!("CARGO_PKG_VERSION")), label("target", gauges.target));
        page.sample("gateway_build_info", &labels, 1);
        if open_metrics {
            page.text.push_str("# EOF\n");
        }
        page.text
    }

    fn requests(&self, page: &mut Page, attempts: &str) {
        page.family("gateway_requests_total", "counter", "Requests by method, matched route and status.");
        self.each_series(|route, method, series| {
            for (status, count) in series.statuses() {
                let status = status.map_or(String::from("other"), |status| format!("{status}"));
                let labels = format!("{method},{route},{}", label("status", status));
                page.sample("gateway_requests_total", &labels, count);
            }
        });
        let help = "Time from the request's head to the end of its response.";
        page.family("gateway_request_duration_seconds", "histogram", help);
        self.each_series(|route, method, series| {
            page.histogram(
                "gateway_request_duration_seconds",
                &format!("{method},{route}"),
                &series.duration(),
                &series.exemplars,
                |_| true,
            );
        });
        self.http_server(page);
        page.text.push_str(attempts);
    }

    fn each_series(&self, mut with: impl FnMut(&str, &str, &super::metrics::Series)) {
        for (pattern, route) in self.routes() {
            let pattern = label("route", pattern);
            for (method, series) in route.series_by_method() {
                with(&pattern, &label("method", method), series);
            }
        }
    }
}

pub(super) struct Page {
    pub(super) text: String,
    pub(super) open_metrics: bool,
}

impl Page {
    /// OpenMetrics names a family of counters without their suffix.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let name = if self.open_metrics { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: u64) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            labels => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    fn labelled<'a, K: Display + 'a>(
        &mut self,
        name: &str,
        help: &str,
        by: &str,
        counts: impl IntoIterator<Item = (&'a K, &'a u64)>,
    ) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            self.sample(name, &label(by, value), *count);
        }
    }

    /// Of its buckets those that `shown` picks by their bounds.
    pub(super) fn histogram<const N: usize>(
        &mut self,
        name: &str,
        labels: &str,
        histogram: &Histogram<N>,
        exemplars: &Exemplars,
        shown: fn(u64) -> bool,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (place, (bound_us, count)) in histogram.buckets().enumerate().filter(|(_, (at, _))| shown(*at)) {
            let bound = seconds(bound_us);
            let _ = write!(self.text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
            self.exemplar(exemplars.at(place));
        }
        let _ = write!(self.text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", histogram.count);
        self.exemplar(exemplars.at(N));
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.text, "{name}_sum{braces} {}", seconds(histogram.sum_us));
        let _ = writeln!(self.text, "{name}_count{braces} {}", histogram.count);
    }
}

impl Page {
    /// Ends a bucket's line, where the format allows with a trace that fell into it.
    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        if let Some(Exemplar { trace_id, us, at_ms }) = exemplar.filter(|_| self.open_metrics) {
            let (value, at) = (seconds(*us), seconds(at_ms.saturating_mul(1000)));
            let _ = write!(self.text, " # {{trace_id=\"{trace_id}\"}} {value} {at}");
        }
        self.text.push('\n');
    }
}

/// Microseconds as decimal seconds, exactly; with a point, as OpenMetrics wants of a bound.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.into() }
}

/// A label with its value escaped.
pub(super) fn label(name: &str, value: impl Display) -> String {
    let value = format!("{value}").replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
