//! The metrics of builds without a process that lives: every request adds its counts to one hash per target, in the command
//! that its epilogue sends anyway, and the metrics page of any instance renders that hash (contract section 10,
//! `gateway:metrics:{instance}`).
//!
//! It counts nothing by itself: a request is recorded in an empty [`Metrics`], whose counters are then written as fields, so
//! that a fleet's page and a process's are the same fold. Start at [`Fleet`].
//!
//! A field is a letter and its labels, separated by `|`; the label that may hold one stands last:
//! `h|GET|200t|3|/path` requests by a bucket of their duration (`s` in place of its number: the sum in microseconds), after
//! their status `t` if by TLS and `b` if the origin broke off, `o|3` the same of the overhead, `c|hit`, `c|miss`, `l` refused by
//! a limit, `a|reason`, `p|target`, `g|plugin`, `t` and `e` round trips and errors of the store, `x|out` and `x|lost` spans
//! exported and dropped.

use alloc::{format, string::String, vec::Vec};

use super::{
    export::SpanCounts,
    histogram::Histogram,
    metrics::{Kind, Metrics, OVERFLOW},
};
use crate::{
    Epilogue,
    config::Document,
    origins::OriginId,
    store::{Add, Op},
};

/// What is needed to count for a fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    prefix: String,
    /// By [`OriginId`].
    origins: Vec<String>,
}

impl Fleet {
    pub(crate) fn new(document: &Document) -> Self {
        let prefix = format!("{}metrics:", document.store.key_prefix);
        Self { prefix, origins: document.origins.iter().map(|origin| origin.name.clone()).collect() }
    }

    /// The hash of a target.
    pub(crate) fn key(&self, target: &str) -> String {
        format!("{}{target}", self.prefix)
    }

    /// Adds a request's counts. `asked`: the store was asked before its verdict.
    pub(crate) fn tally(&self, target: &str, epilogue: &Epilogue, asked: bool) -> Op {
        let mut metrics = Metrics::default();
        let name_of = |origin: OriginId| self.origins.get(origin.0).map(String::as_str);
        metrics.count(epilogue, &name_of);
        // The command that carries these counts is one, too.
        metrics.store_round_trips = 1 + u64::from(asked);
        self.add(target, &metrics)
    }

    /// Adds what an instance counted outside of its requests' own accounts.
    pub(crate) fn settle(&self, target: &str, owed: Owed) -> Op {
        let mut metrics = Metrics::default();
        (metrics.spans, metrics.store_errors) = (owed.spans, owed.store_errors);
        self.add(target, &metrics)
    }

    fn add(&self, target: &str, metrics: &Metrics) -> Op {
        Op::Tally { key: self.key(target), adds: metrics.to_adds(), max: MAX_FIELDS, ttl_ms: TTL_MS }
    }
}

/// What an instance counts when a request's own counts are closed already, or cannot be told because the store is down: it
/// owes them to its fleet, and tells them with a later command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// What became of spans.
    pub spans: SpanCounts,
    /// Commands that the store did not answer.
    pub store_errors: u64,
}

impl Owed {
    /// What of it is not among `told`.
    pub fn beyond(self, told: Self) -> Self {
        Self {
            spans: SpanCounts {
                exported: self.spans.exported.saturating_sub(told.spans.exported),
                dropped: self.spans.dropped.saturating_sub(told.spans.dropped),
            },
            store_errors: self.store_errors.saturating_sub(told.store_errors),
        }
    }
}

impl Metrics {
    /// Every counter that is not zero.
    fn to_adds(&self) -> Vec<Add> {
        let mut adds = Adds(Vec::new());
        for (pattern, route) in self.routes() {
            for (method, series) in route.series_by_method() {
                for (kind, duration) in series.kinds() {
                    let kind = kind.map_or(String::from(OTHER), Kind::word);
                    adds.histogram(duration, |part| {
                        let spill = format!("h|{method}|{OTHER}|{part}|{OVERFLOW}");
                        (format!("h|{method}|{kind}|{part}|{pattern}"), spill)
                    });
                }
            }
        }
        adds.histogram(&self.overhead, |part| (format!("o|{part}"), String::new()));
        adds.fixed("c|hit", self.cache_hits);
        adds.fixed("c|miss", self.cache_misses);
        adds.fixed("l", self.limited);
        for (reason, count) in &self.auth_failures {
            adds.fixed(&format!("a|{reason}"), *count);
        }
        for (target, count) in &self.proxy_errors {
            adds.push(format!("p|{target}"), "p|other".into(), *count);
        }
        for (plugin, count) in &self.plugin_errors {
            adds.fixed(&format!("g|{plugin}"), *count);
        }
        adds.fixed(ROUND_TRIPS, self.store_round_trips);
        adds.fixed("e", self.store_errors);
        adds.fixed("x|out", self.spans.exported);
        adds.fixed("x|lost", self.spans.dropped);
        adds.0
    }

    /// From the fields and values of a fleet's hash, in turn. What is none of its fields is passed over: another version of the
    /// gateway may count what this one does not know.
    pub(crate) fn from_fields(fields: &[String]) -> Self {
        let mut metrics = Self::default();
        for pair in fields.chunks_exact(2) {
            if let [field, value] = pair
                && let Ok(count) = value.parse()
            {
                let _ = metrics.add_field(field, count);
            }
        }
        metrics
    }

    fn add_field(&mut self, field: &str, count: u64) -> Option<()> {
        let (letter, labels) = field.split_once('|').unwrap_or((field, ""));
        match letter {
            "h" => {
                let (method, rest) = labels.split_once('|')?;
                let (kind, rest) = rest.split_once('|')?;
                let (part, pattern) = rest.split_once('|')?;
                let kind = if kind == OTHER { None } else { Some(Kind::read(kind)?) };
                let part = Part::read(part)?;
                part.add(self.series(pattern, method)?.kind(kind), count);
            }
            "o" => Part::read(labels)?.add(&mut self.overhead, count),
            "c" if labels == "hit" => self.cache_hits = count,
            "c" if labels == "miss" => self.cache_misses = count,
            "l" => self.limited = count,
            "a" => self.add_auth_failures(labels, count),
            "p" => self.add_proxy_errors(labels, count),
            "g" => self.add_plugin_errors(labels, count),
            ROUND_TRIPS => self.store_round_trips = count,
            "e" => self.store_errors = count,
            "x" if labels == "out" => self.spans.exported = count,
            "x" if labels == "lost" => self.spans.dropped = count,
            _ => {}
        }
        Some(())
    }
}

impl Kind {
    fn word(self) -> String {
        let mark = |has: bool, mark| if has { mark } else { "" };
        format!("{}{}{}", self.status, mark(self.tls, "t"), mark(self.broke, "b"))
    }

    fn read(word: &str) -> Option<Self> {
        let rest = word.trim_end_matches('b');
        let status = rest.trim_end_matches('t');
        let (tls, broke) = (status.len() < rest.len(), rest.len() < word.len());
        Some(Self { status: status.parse().ok()?, tls, broke })
    }
}

struct Adds(Vec<Add>);

impl Adds {
    fn push(&mut self, field: String, spill: String, by: u64) {
        if by > 0 {
            let spill = if spill == field { String::new() } else { spill };
            self.0.push(Add { field, spill, by });
        }
    }

    /// One of a few that are always let in.
    fn fixed(&mut self, field: &str, by: u64) {
        self.push(field.into(), String::new(), by);
    }

    fn histogram<const N: usize>(
        &mut self,
        histogram: &Histogram<N>,
        name: impl Fn(&str) -> (String, String),
    ) {
        for (place, count) in histogram.counts().enumerate() {
            let (field, spill) = name(&format!("{place}"));
            self.push(field, spill, count);
        }
        let (field, spill) = name("s");
        self.push(field, spill, histogram.sum_us);
    }
}

/// A part of a histogram. The number of all observations is none: it is the buckets' sum, so the two cannot differ.
enum Part {
    Bucket(usize),
    Sum,
}

impl Part {
    fn read(text: &str) -> Option<Self> {
        if text == "s" { Some(Self::Sum) } else { text.parse().ok().map(Self::Bucket) }
    }

    fn add<const N: usize>(self, histogram: &mut Histogram<N>, count: u64) {
        match self {
            Self::Bucket(place) => histogram.add(place, count),
            Self::Sum => histogram.sum_us = histogram.sum_us.saturating_add(count),
        }
    }
}

/// The field of the commands sent to the store.
pub(super) const ROUND_TRIPS: &str = "t";
/// Kinds past the cap.
const OTHER: &str = "other";
/// Two hundred series with all their buckets; a request on a route past them is counted as `overflow`.
const MAX_FIELDS: u32 = 4096;
/// What is read: the fields let in past the bound are far fewer.
pub(crate) const MAX_READ: u32 = 2 * MAX_FIELDS;
/// After the last write; the counters then begin anew, which a scraper takes for a restart.
const TTL_MS: u64 = 60_000;

#[cfg(test)]
mod tests;
