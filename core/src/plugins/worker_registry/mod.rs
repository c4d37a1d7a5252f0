//! `worker-registry-plugin`: the state of workers as `worker:{id}:*` keys (contract section 10), written when their
//! calls succeed through this gateway ([`seen`]), and `GET /api/v1/workers` answered from them ([`list`]).

mod list;
mod presence;
mod query;
mod search;
mod seen;
#[cfg(test)]
mod tests;

pub use presence::Presence;
pub use search::Search;

use alloc::{boxed::Box, collections::BTreeMap, format, string::String, sync::Arc};

use self::list::Listed;
use crate::{
    config::{Document, Regions, WorkersFormat},
    flow::Flow,
    json::{self, Object},
    keyspace::Keyspace,
    plugin::{Answers, Plan, Plugin, Ruling, Source},
    refusal::{ErrorCode, Refusal},
    routes::RouteKind,
    store::{Ask, Cells, Slot, Workers},
    telemetry::metrics::UNKNOWN,
};

/// `worker-registry-plugin`.
#[derive(Clone, Debug)]
pub struct WorkerRegistry {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    keys: Keyspace,
    regions: Regions,
    format: WorkersFormat,
}

impl WorkerRegistry {
    /// Prepares the rules of a document.
    pub fn new(document: &Document) -> Self {
        Self { rules: Arc::new(Rules::new(document)) }
    }
}

/// Who is online, for metrics and for whoever listens to events.
#[derive(Debug)]
pub struct Census {
    rules: Rules,
}

impl Census {
    /// For the store of a document.
    pub fn new(document: &Document) -> Self {
        Self { rules: Rules::new(document) }
    }

    /// Asks for the list.
    pub fn ask(&self, ask: &mut Ask) -> Slot<Workers> {
        ask.workers(self.rules.keys.snapshot(), INDEX.into(), MOST)
    }

    /// Their ids and regions; none where there is no answer.
    pub fn online(
        cells: &Cells<'_>,
        slot: Slot<Workers>,
        now_ms: u64,
    ) -> Option<BTreeMap<String, Option<String>>> {
        let Listed { workers, .. } = list::read(&cells.workers(slot)?, now_ms)?;
        let text = |worker: &Object, name: &str| json::text(worker, name).map(String::from);
        let online = workers.iter().filter(|worker| list::is_online(worker));
        Some(online.filter_map(|it| Some((text(it, "worker_id")?, text(it, "region")))).collect())
    }

    /// How many they are, by region.
    pub(super) fn count(
        &self,
        flow: &mut Flow,
        answers: &Answers<'_>,
        slot: Slot<Workers>,
    ) -> Option<BTreeMap<String, u64>> {
        let workers = list::workers(&self.rules, flow, &answers.cells.workers(slot)?)?;
        let mut regions = BTreeMap::new();
        for worker in workers.iter().filter(|worker| list::is_online(worker)) {
            let region = json::text(worker, "region").unwrap_or(UNKNOWN);
            *regions.entry(String::from(region)).or_default() += 1;
        }
        Some(regions)
    }
}

impl Rules {
    fn new(document: &Document) -> Self {
        let (keys, regions) = (Keyspace::new(document), document.regions.clone());
        Self { keys, regions, format: document.workers_format }
    }
}

impl Plugin for WorkerRegistry {
    fn name(&self) -> &'static str {
        "worker-registry-plugin"
    }

    /// After auth and limits, before the cache.
    fn priority(&self) -> i32 {
        84
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        match flow.request.route.kind {
            RouteKind::Workers => self.list(flow, ask),
            kind => match seen::Call::of(kind, &flow.request.route.pattern) {
                Some(call) => self.watch(flow, ask, call),
                None => Plan::Pass,
            },
        }
    }
}

impl WorkerRegistry {
    fn list(&self, flow: &Flow, ask: &mut Ask) -> Plan {
        let query = match query::Query::read(flow.request.head.uri.query(), self.rules.format) {
            Ok(query) => query,
            Err(message) => return Plan::Refuse(Refusal::new(ErrorCode::BadRequest, "query", message)),
        };
        let slot = ask.workers(self.rules.keys.snapshot(), INDEX.into(), MOST);
        let rules = Arc::clone(&self.rules);
        Plan::Judge(Box::new(move |flow, answers| {
            let row = answers.cells.workers(slot).filter(|_| answers.source == Source::Store);
            match row.and_then(|row| list::workers(&rules, flow, &row)) {
                Some(workers) => Ruling::Answer(list::answer(&rules, &workers, &query)),
                None => {
                    let message = "the worker list cannot be read while the store is down; try again";
                    let refusal = Refusal::new(ErrorCode::StoreUnavailable, "store_down", message);
                    Ruling::Refuse(refusal.retry_after_ms(1_000))
                }
            }
        }))
    }

    /// Asks for what is known of the worker, to keep what its call does not say.
    fn watch(&self, flow: &mut Flow, ask: &mut Ask, call: seen::Call) -> Plan {
        let rules = Arc::clone(&self.rules);
        flow.outgoing.capture_request = flow.outgoing.capture_request.max(call.request_bytes());
        let Some(id) = flow.request.worker_id.clone() else {
            if call == seen::Call::Register {
                seen::watch(&rules, flow, call, None, None);
            }
            return Plan::Pass;
        };
        let slot = ask.get(status_key(&id));
        Plan::Judge(Box::new(move |flow, answers| {
            // What this process remembers by itself may be older than what others wrote.
            if answers.source == Source::Store {
                seen::watch(&rules, flow, call, Some(id), answers.cells.bytes(slot));
            }
            Ruling::Pass
        }))
    }
}

/// These keys are shared with Python workers and servers, so they carry no prefix of ours.
fn status_key(id: &str) -> String {
    format!("worker:{id}:status")
}

/// Whether a worker of this status is online, for the metric and the events alike: one that is going offline takes no more
/// jobs, though the list's summary still counts it.
fn is_up(status: &str) -> bool {
    !matches!(status, "offline" | "going_offline")
}

const INDEX: &str = "worker:index";
/// Ids in the index, and workers in the list.
const MOST: u32 = 10_000;
/// Three heartbeats of 30 s: one that is late, or lost, does not make a worker flicker.
const TTL_MS: u64 = 90_000;
/// How long nobody writes a snapshot after a worker's call.
const GUARD_MS: u64 = 2_000;
