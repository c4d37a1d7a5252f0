//! The metrics of contract section 11 as plain data: recorded per request, merged over threads, rendered as text. Label
//! sets are bounded: routes are patterns, methods a closed list, and past a cap everything goes to one more series.

use alloc::{borrow::Cow, boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use http::StatusCode;

use super::{
    export::SpanCounts,
    histogram::{Exemplar, Exemplars, Histogram},
};
use crate::{
    config::Document,
    event::Event,
    origins::OriginId,
    outcome::{End, Epilogue},
    routes::RouteKind,
};

/// All counters of one thread, or of a process when merged.
#[derive(Clone, Debug)]
pub struct Metrics {
    routes: BTreeMap<String, Route>,
    /// Takes what finds no place in `routes`.
    overflow: Route,
    pub(super) overhead: Histogram<{ OVERHEAD_US.len() }>,
    pub(super) cache_hits: u64,
    pub(super) cache_misses: u64,
    pub(super) limited: u64,
    pub(super) auth_failures: BTreeMap<Cow<'static, str>, u64>,
    pub(super) proxy_errors: BTreeMap<String, u64>,
    pub(super) plugin_errors: BTreeMap<Cow<'static, str>, u64>,
    /// Of a fleet; a process counts its commands where it sends them ([`super::Gauges`]).
    pub(super) store_round_trips: u64,
    /// As above.
    pub(super) store_errors: u64,
    /// As above.
    pub(super) spans: SpanCounts,
    /// Workers online by region, as the store tells of them; none where it was not asked or did not answer.
    pub(crate) workers: Option<BTreeMap<String, u64>>,
}

/// One route's requests, by [`METHODS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    known: [Option<Box<Series>>; METHODS.len()],
    other: Option<Box<Series>>,
}

/// One method's requests on one route.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Durations by what came of the requests; few, so a list.
    kinds: Vec<(Kind, Duration)>,
    /// Of kinds past the cap.
    other: Duration,
    pub(super) exemplars: Exemplars,
}

/// What came of a request, as far as it is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) status: u16,
    /// Whether it came by TLS.
    pub(super) tls: bool,
    /// Whether the origin broke off.
    pub(super) broke: bool,
}

pub(super) type Duration = Histogram<{ DURATION_US.len() }>;

impl Default for Metrics {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            overflow: Route::default(),
            overhead: Histogram::new(&OVERHEAD_US),
            cache_hits: 0,
            cache_misses: 0,
            limited: 0,
            auth_failures: BTreeMap::new(),
            proxy_errors: BTreeMap::new(),
            plugin_errors: BTreeMap::new(),
            store_round_trips: 0,
            store_errors: 0,
            spans: SpanCounts::default(),
            workers: None,
        }
    }
}

impl Default for Series {
    fn default() -> Self {
        Self { kinds: Vec::new(), other: Histogram::new(&DURATION_US), exemplars: Exemplars::default() }
    }
}

impl Metrics {
    /// Counts one request. `document` names the origins.
    pub fn record(&mut self, epilogue: &Epilogue, document: &Document) {
        let name_of = |origin: OriginId| document.origins.get(origin.0).map(|origin| origin.name.as_str());
        self.count(epilogue, &name_of);
    }

    /// Counts what belongs to no request.
    pub fn note(&mut self, event: &Event) {
        self.observe(event, &|_| None);
    }

    pub(super) fn count(&mut self, epilogue: &Epilogue, name_of: NameOf<'_>) {
        let record = &epilogue.record;
        let outcome = &record.outcome;
        let pattern = record.route.as_ref().map_or(OTHER, |route| route.pattern.as_str());
        let series = self.route(pattern).series(record.method.as_str());
        let broke = outcome.end == End::OriginBroke;
        let kind = Kind { status: record.status.as_u16(), tls: record.tls, broke };
        series.kind(Some(kind)).observe(outcome.total_us);
        if record.sampled {
            let exemplar =
                Exemplar { trace_id: record.trace_id.clone(), us: outcome.total_us, at_ms: outcome.now_ms };
            series.exemplars.keep(series.other.place(outcome.total_us), exemplar);
        }
        // Of what was broken off or became a tunnel, nobody can say how long the origin was waited for. The gateway's own pages
        // are work that clients' requests do not cost: a scrape or an open dashboard must not hide what these do.
        let own = record.route.as_ref().is_some_and(|route| route.kind == RouteKind::Own);
        if outcome.end == End::Complete && record.status != StatusCode::SWITCHING_PROTOCOLS && !own {
            self.overhead.observe(outcome.total_us.saturating_sub(outcome.origin_us));
        }
        if let (End::OriginBroke, Some(origin)) = (outcome.end, outcome.origin) {
            self.failed(origin, name_of);
        }
        for event in &epilogue.events {
            self.observe(event, name_of);
        }
    }

    fn observe(&mut self, event: &Event, name_of: NameOf<'_>) {
        match event {
            Event::CacheHit { .. } => self.cache_hits += 1,
            Event::CacheMiss => self.cache_misses += 1,
            Event::LimitExceeded { .. } => self.limited += 1,
            Event::AuthRejected { reason } => {
                *self.auth_failures.entry(Cow::Borrowed(reason)).or_default() += 1;
            }
            Event::PluginError { plugin, .. } => {
                *self.plugin_errors.entry(Cow::Borrowed(plugin)).or_default() += 1;
            }
            Event::RouterFailover { from } => self.failed(*from, name_of),
            _ => {}
        }
    }

    fn failed(&mut self, origin: OriginId, name_of: NameOf<'_>) {
        if let Some(name) = name_of(origin) {
            self.add_proxy_errors(name, 1);
        }
    }

    pub(super) fn add_proxy_errors(&mut self, target: &str, times: u64) {
        add(&mut self.proxy_errors, target, times, MAX_ORIGINS);
    }

    pub(super) fn add_auth_failures(&mut self, reason: &str, times: u64) {
        add_word(&mut self.auth_failures, reason, times);
    }

    pub(super) fn add_plugin_errors(&mut self, plugin: &str, times: u64) {
        add_word(&mut self.plugin_errors, plugin, times);
    }

    /// The series of a route and a method's label; none for a label that is none.
    pub(super) fn series(&mut self, pattern: &str, method: &str) -> Option<&mut Series> {
        if method != OTHER_METHOD && !METHODS.contains(&method) {
            return None;
        }
        Some(self.route(pattern).series(method))
    }

    fn route(&mut self, pattern: &str) -> &mut Route {
        if pattern == OVERFLOW {
            return &mut self.overflow;
        }
        if self.routes.len() < MAX_ROUTES && !self.routes.contains_key(pattern) {
            self.routes.insert(pattern.into(), Route::default());
        }
        self.routes.get_mut(pattern).unwrap_or(&mut self.overflow)
    }

    /// Adds another thread's counts.
    pub fn merge(&mut self, other: &Self) {
        for (pattern, route) in &other.routes {
            self.route(pattern).merge(route);
        }
        self.overflow.merge(&other.overflow);
        self.overhead.merge(&other.overhead);
        self.cache_hits += other.cache_hits;
        self.cache_misses += other.cache_misses;
        self.limited += other.limited;
        for (reason, count) in &other.auth_failures {
            *self.auth_failures.entry(reason.clone()).or_default() += count;
        }
        for (target, count) in &other.proxy_errors {
            add(&mut self.proxy_errors, target, *count, MAX_ORIGINS);
        }
        for (plugin, count) in &other.plugin_errors {
            *self.plugin_errors.entry(plugin.clone()).or_default() += count;
        }
        self.store_round_trips += other.store_round_trips;
        self.store_errors += other.store_errors;
    }

    /// Routes with a series of their own, then what found no place.
    pub(super) fn routes(&self) -> impl Iterator<Item = (&str, &Route)> {
        let named = self.routes.iter().map(|(pattern, route)| (pattern.as_str(), route));
        named.chain(core::iter::once((OVERFLOW, &self.overflow)))
    }

    /// Takes the store's word for how many workers are online, by region. It is never this process's own count: what calls
    /// another gateway, or writes its keys itself, counts as well.
    pub fn tell_workers(&mut self, regions: Option<BTreeMap<String, u64>>) {
        self.workers = regions.map(|regions| {
            let mut told = BTreeMap::new();
            for (region, count) in regions {
                let region = if region.len() <= MAX_REGION_BYTES { region.as_str() } else { OTHER };
                add(&mut told, region, count, MAX_REGIONS);
            }
            // Without a series nobody is told that there is no worker (an alert on the sum would never fire).
            if told.is_empty() {
                told.insert(UNKNOWN.into(), 0);
            }
            told
        });
    }
}

impl Route {
    fn series(&mut self, method: &str) -> &mut Series {
        let place = METHODS.iter().position(|name| *name == method);
        let known = place.and_then(|place| self.known.get_mut(place));
        known.unwrap_or(&mut self.other).get_or_insert_default()
    }

    /// Each method's series with its label.
    pub(super) fn series_by_method(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        let known = METHODS.into_iter().zip(&self.known);
        let all = known.chain(core::iter::once((OTHER_METHOD, &self.other)));
        all.filter_map(|(method, series)| Some((method, series.as_deref()?)))
    }

    fn merge(&mut self, other: &Self) {
        let pairs = self.known.iter_mut().zip(&other.known);
        for (mine, theirs) in pairs.chain([(&mut self.other, &other.other)]) {
            if let Some(theirs) = theirs {
                mine.get_or_insert_default().merge(theirs);
            }
        }
    }
}

impl Series {
    /// The durations of one kind; none: of those past the cap. An origin that makes up statuses loses their exactness, not
    /// our memory.
    pub(super) fn kind(&mut self, kind: Option<Kind>) -> &mut Duration {
        if let Some(kind) = kind
            && self.kinds.len() < MAX_KINDS
            && self.kinds.iter().all(|(have, _)| *have != kind)
        {
            self.kinds.push((kind, Histogram::new(&DURATION_US)));
        }
        match self.kinds.iter_mut().find(|(have, _)| Some(*have) == kind) {
            Some((_, duration)) => duration,
            None => &mut self.other,
        }
    }

    /// Durations of each kind, then what found no place.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (Option<Kind>, &Duration)> {
        let known = self.kinds.iter().map(|(kind, duration)| (Some(*kind), duration));
        known.chain(core::iter::once((None, &self.other)).filter(|(_, other)| other.count > 0))
    }

    /// How many requests had each status.
    pub(super) fn statuses(&self) -> Vec<(Option<u16>, u64)> {
        let mut counts: Vec<(Option<u16>, u64)> = Vec::new();
        for (kind, duration) in self.kinds() {
            let status = kind.map(|kind| kind.status);
            match counts.iter_mut().find(|(have, _)| *have == status) {
                Some((_, count)) => *count += duration.count,
                None => counts.push((status, duration.count)),
            }
        }
        counts
    }

    /// Of all kinds.
    pub(super) fn duration(&self) -> Duration {
        let mut sum = self.other;
        self.kinds.iter().for_each(|(_, duration)| sum.merge(duration));
        sum
    }

    fn merge(&mut self, other: &Self) {
        for (kind, duration) in other.kinds() {
            self.kind(kind).merge(duration);
        }
        self.exemplars.merge(&other.exemplars);
    }
}

fn add(counts: &mut BTreeMap<String, u64>, label: &str, times: u64, cap: usize) {
    if let Some(count) = counts.get_mut(label) {
        *count += times;
    } else {
        let label = if counts.len() < cap { label } else { OTHER };
        *counts.entry(label.into()).or_default() += times;
    }
}

/// Words of the gateway's own; a fleet may have more than this version knows.
fn add_word(counts: &mut BTreeMap<Cow<'static, str>, u64>, word: &str, times: u64) {
    let word = if counts.len() < MAX_WORDS || counts.contains_key(word) { word } else { OTHER };
    *counts.entry(Cow::Owned(word.into())).or_default() += times;
}

/// The label of a method.
pub(super) fn method_label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}

/// Names an origin.
pub(super) type NameOf<'n> = &'n dyn Fn(OriginId) -> Option<&'n str>;

/// Methods with a series of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The label of all others.
pub(super) const OTHER_METHOD: &str = "OTHER";

/// Bounds from a store hit to the longest `jobs/sync`; from 5 ms to 10 s those that OpenTelemetry's conventions advise.
pub(super) const DURATION_US: [u64; 18] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    250_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Bounds of the gateway's own time, from 25 µs.
pub(super) const OVERHEAD_US: [u64; 11] =
    [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

/// Also the label of requests that matched no rule.
const OTHER: &str = "other";
/// Of routes past the cap.
pub(super) const OVERFLOW: &str = "overflow";
/// Far above the built-in rules and any sane number of `[[routes]]`.
const MAX_ROUTES: usize = 512;
const MAX_WORDS: usize = 64;
const MAX_KINDS: usize = 48;
const MAX_ORIGINS: usize = 256;
const MAX_REGIONS: usize = 64;
/// Workers name their regions themselves.
const MAX_REGION_BYTES: usize = 64;
/// The region of workers that name none.
pub(crate) const UNKNOWN: &str = "unknown";
