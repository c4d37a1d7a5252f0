//! What the router looked at, for people: every origin in the order in which it would be tried, with what counted.

use alloc::{format, string::String, vec::Vec};

use super::{Ranking, Router, UNKNOWN_US};
use crate::{
    config::{Document, Strategy},
    explain::Considered,
    flow::Flow,
    origins::OriginId,
};

/// The origins of a request as the strategy of this document ordered them.
pub(crate) fn considered(document: &Document, flow: &Flow) -> Vec<Considered> {
    let Router(router) = Router::new(document);
    let origin = |(place, id): (usize, &OriginId)| {
        let view = flow.request.facts.origins.get(id.0).copied().unwrap_or_default();
        let placed = router.origins.get(id.0);
        Considered {
            name: placed.map(|placed| placed.name.clone()).unwrap_or_default(),
            place,
            score: router.score(flow, *id),
            in_flight: view.in_flight,
            ewma_us: view.ewma_us,
            ejected: view.ejected,
            failing: view.failing,
        }
    };
    flow.outgoing.origins.iter().enumerate().map(origin).collect()
}

impl Ranking {
    fn score(&self, flow: &Flow, id: OriginId) -> String {
        let facts = &flow.request.facts;
        let view = facts.origins.get(id.0).copied().unwrap_or_default();
        match self.strategy {
            Strategy::RoundRobin => format!("turn {}", facts.turn),
            Strategy::LeastConnections => format!("{} in flight, turn {}", view.in_flight, facts.turn),
            Strategy::RegionAffinity => match self.distance(flow, id) {
                u32::MAX => format!("distance unknown, {} in flight", view.in_flight),
                distance => format!("distance {distance}, {} in flight", view.in_flight),
            },
            Strategy::Weighted => format!("weight {}, turn {}", self.weight(id), facts.turn),
            Strategy::P2cEwma => {
                let us = if view.ewma_us == 0 && view.in_flight > 0 { UNKNOWN_US } else { view.ewma_us };
                let cost = us.saturating_mul(u64::from(view.in_flight).saturating_add(1));
                format!("cost {cost}, draw {}", facts.entropy.draw)
            }
            Strategy::ConsistentHash => String::from("by the hash of credential and name"),
        }
    }
}
