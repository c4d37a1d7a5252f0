//! Which origin gets a request (contract section 3, `ROUTER_STRATEGY`). The order is worked out from values: views of
//! the origins, a turn, a draw. Load and health themselves are [`crate::origins::Board`]'s.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::mem;

use crate::{
    config::{Document, Regions, Strategy},
    event::Event,
    flow::Flow,
    origins::OriginId,
    plugin::{Plan, Plugin, Ruling},
    routes::RouteKind,
    store::Ask,
};

mod order;
mod score;
#[cfg(test)]
mod tests;

/// The plugin.
pub struct Router(Arc<Ranking>);

/// How origins are put in order.
#[derive(Debug)]
struct Ranking {
    strategy: Strategy,
    regions: Regions,
    origins: Vec<Placed>,
}

/// What strategies know of an origin besides its view.
#[derive(Clone, Debug)]
struct Placed {
    name: String,
    region: Option<String>,
    weight: u32,
}

impl Router {
    /// For a document's origins.
    pub fn new(document: &Document) -> Self {
        let placed = |origin: &crate::config::Origin| Placed {
            name: origin.name.clone(),
            region: origin.region.clone(),
            weight: origin.weight.get(),
        };
        Self(Arc::new(Ranking {
            strategy: document.router.strategy,
            regions: document.regions.clone(),
            origins: document.origins.iter().map(placed).collect(),
        }))
    }
}

impl Ranking {
    /// All origins, best first. Ejected ones come last but are never left out: where all are ejected, trying
    /// one is better than refusing.
    fn order(&self, flow: &Flow) -> Vec<OriginId> {
        let facts = &flow.request.facts;
        let view = |id: &OriginId| facts.origins.get(id.0).copied().unwrap_or_default();
        let pool = flow.outgoing.pool.as_deref();
        let all = (0..self.origins.len()).map(OriginId);
        let all = all.filter(|id| pool.is_none_or(|pool| pool.contains(id)));
        let (mut good, mut ejected): (Vec<_>, Vec<_>) = all.partition(|id| !view(id).ejected);
        if good.is_empty() {
            // They share what nobody can serve, so that the first to recover is soon found.
            mem::swap(&mut good, &mut ejected);
        }
        match self.strategy {
            Strategy::RoundRobin => order::rotate(&mut good, facts.turn),
            Strategy::LeastConnections => {
                order::rotate(&mut good, facts.turn);
                order::by(&mut good, &|id| [view(&id).in_flight.into(), 0, 0, 0]);
            }
            Strategy::RegionAffinity => {
                order::rotate(&mut good, facts.turn);
                order::by(&mut good, &|id| {
                    [self.distance(flow, id).into(), view(&id).in_flight.into(), 0, 0]
                });
            }
            Strategy::Weighted => order::weighted(&mut good, facts.turn, |id| self.weight(id)),
            Strategy::P2cEwma => order::better_of_two(&mut good, facts.entropy.draw, |id| {
                let view = view(&id);
                let load = u64::from(view.in_flight);
                // One of unknown speed is tried, but by one request at a time until it has answered.
                let us = if view.ewma_us == 0 && load > 0 { UNKNOWN_US } else { view.ewma_us };
                us.saturating_mul(load.saturating_add(1))
            }),
            Strategy::ConsistentHash => {
                let key = self.affinity_key(flow);
                order::rendezvous(&mut good, &key, |id| {
                    self.origins.get(id.0).map_or("", |origin| origin.name.as_str())
                });
            }
        }
        good.extend(ejected);
        good
    }

    fn weight(&self, id: OriginId) -> u32 {
        self.origins.get(id.0).map_or(1, |origin| origin.weight)
    }

    /// An origin without a region is farther than any known distance; a client without one is near to all.
    fn distance(&self, flow: &Flow, id: OriginId) -> u32 {
        let Some(client) = flow.request.region.as_deref() else { return 0 };
        let region = self.origins.get(id.0).and_then(|origin| origin.region.as_deref());
        region.and_then(|region| self.regions.distance(client, region)).unwrap_or(u32::MAX)
    }

    /// Same credential, same origin; without one, same address.
    fn affinity_key(&self, flow: &Flow) -> String {
        let stored = &flow.request.presented.stored;
        if stored.is_empty() { alloc::format!("{}", flow.request.client) } else { stored.clone() }
    }
}

impl Plugin for Router {
    fn name(&self) -> &'static str {
        "router-plugin"
    }

    fn priority(&self) -> i32 {
        70
    }

    fn implementation(&self) -> &'static str {
        self.0.strategy.name()
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        if matches!(flow.request.route.kind, RouteKind::Own | RouteKind::Workers) {
            return Plan::Pass;
        }
        flow.outgoing.origins = self.0.order(flow);
        let (ranking, pool) = (Arc::clone(&self.0), flow.outgoing.pool.clone());
        // Told only once everybody before has let the request pass: what is refused or served from the cache goes to
        // no origin.
        Plan::Judge(Box::new(move |flow, _| {
            if flow.outgoing.pool != pool {
                flow.outgoing.origins = ranking.order(flow);
            }
            let first = flow.outgoing.origins.first().copied();
            flow.events.extend(first.map(|origin| Event::RouterSelected { origin }));
            Ruling::Pass
        }))
    }
}

pub(crate) use score::considered;

/// What is assumed of an origin that has not answered yet: a second, which is slow.
const UNKNOWN_US: u64 = 1_000_000;
