//! Cases of this module.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::num::NonZeroU32;
use std::format;

use super::*;
use crate::{
    config::{Origin, OriginUrl},
    origins::OriginView,
    plugins::fixture,
};

fn document(strategy: Strategy, origins: &[(&str, u32)]) -> Document {
    let mut document = Document::default();
    document.router.strategy = strategy;
    let origin = |(index, (region, weight)): (usize, &(&str, u32))| Origin {
        name: format!("o{index}"),
        url: OriginUrl { tls: false, host: "127.0.0.1".into(), port: 8000, prefix: String::new() },
        region: document.regions.canonical(region).map(Into::into),
        weight: NonZeroU32::new(*weight).unwrap(),
    };
    document.origins = origins.iter().enumerate().map(origin).collect();
    document
}

/// The order for one request.
fn order(document: &Document, change: impl FnOnce(&mut crate::Request)) -> Vec<usize> {
    let gateway = fixture::gateway(document.clone());
    let (mut request, _) = gateway.arrival.read(fixture::head("GET", "/x", &[]), fixture::facts());
    request.facts.origins = vec![OriginView::default(); document.origins.len()];
    change(&mut request);
    let order = Router::new(document).0.order(&Flow::new(request));
    order.into_iter().map(|id| id.0).collect()
}

fn leaders(document: &Document, turns: u64, change: impl Fn(&mut crate::Request)) -> Vec<usize> {
    let lead = |turn| {
        order(document, |request| {
            request.facts.turn = turn;
            request.facts.entropy.draw = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            change(request);
        })
    };
    (0..turns).map(|turn| lead(turn)[0]).collect()
}

fn shares(leaders: &[usize]) -> BTreeMap<usize, usize> {
    let mut shares = BTreeMap::new();
    for leader in leaders {
        *shares.entry(*leader).or_default() += 1;
    }
    shares
}

const THREE: [(&str, u32); 3] = [("us-west", 5), ("eu-central", 1), ("ap-east", 1)];

#[test]
fn every_strategy_names_every_origin_once() {
    for strategy in [
        Strategy::RoundRobin,
        Strategy::LeastConnections,
        Strategy::RegionAffinity,
        Strategy::Weighted,
        Strategy::P2cEwma,
        Strategy::ConsistentHash,
    ] {
        for ejected in 0..8_usize {
            let document = document(strategy, &THREE);
            for turn in 0..20 {
                let mut found = order(&document, |request| {
                    request.facts.turn = turn;
                    request.facts.entropy.draw = turn << 31 ^ turn;
                    for (index, view) in request.facts.origins.iter_mut().enumerate() {
                        view.ejected = ejected >> index & 1 == 1;
                    }
                });
                let first_is_ejected = ejected >> found[0] & 1 == 1;
                assert!(!first_is_ejected || ejected == 7, "{strategy:?} {ejected:03b} led with {found:?}");
                found.sort_unstable();
                assert_eq!(found, [0, 1, 2], "{strategy:?}");
            }
        }
    }
}

#[test]
fn turns_are_taken_among_those_that_are_well() {
    let document = document(Strategy::RoundRobin, &THREE);
    assert_eq!(leaders(&document, 6, |_| {}), [0, 1, 2, 0, 1, 2]);
    let without_b = |request: &mut crate::Request| request.facts.origins[1].ejected = true;
    assert_eq!(leaders(&document, 4, without_b), [0, 2, 0, 2]);
}

#[test]
fn where_all_are_ejected_all_are_tried_in_turn() {
    let document = document(Strategy::RoundRobin, &THREE);
    let none_is_well = |request: &mut crate::Request| {
        request.facts.origins.iter_mut().for_each(|view| view.ejected = true);
    };
    assert_eq!(leaders(&document, 6, none_is_well), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn an_origin_of_unknown_speed_is_tried_by_one_request_at_a_time() {
    let two = document(Strategy::P2cEwma, &THREE[..2]);
    for (in_flight, leader) in [(0, 1), (1, 0)] {
        let found = leaders(&two, 10, |request| {
            request.facts.origins[0].ewma_us = 50_000;
            request.facts.origins[1].in_flight = in_flight;
        });
        assert_eq!(found, [leader; 10], "{in_flight} in flight");
    }
}

#[test]
fn weights_are_exact_and_spread() {
    let weighted = document(Strategy::Weighted, &THREE);
    let seven = leaders(&weighted, 7, |_| {});
    assert_eq!(shares(&seven), BTreeMap::from([(0, 5), (1, 1), (2, 1)]));
    assert!(!format!("{seven:?}").contains("0, 0, 0, 0"), "{seven:?}");
    for weights in [[1, 1, 1], [2, 3, 4], [10, 1, 7], [100, 1, 1], [3, 3, 6]] {
        let origins = weights.map(|weight| ("us-west", weight));
        let sum: u32 = weights.iter().sum();
        let found = shares(&leaders(&document(Strategy::Weighted, &origins), u64::from(sum), |_| {}));
        let wanted = weights.iter().enumerate().map(|(index, weight)| (index, *weight as usize));
        assert_eq!(found, wanted.collect(), "{weights:?}");
    }
}

#[test]
fn the_idle_origin_leads() {
    let document = document(Strategy::LeastConnections, &THREE);
    let busy = |request: &mut crate::Request| {
        for (view, in_flight) in request.facts.origins.iter_mut().zip([3, 1, 2]) {
            view.in_flight = in_flight;
        }
    };
    assert_eq!(order(&document, busy), [1, 2, 0]);
}

#[test]
fn the_near_origin_leads_and_unknown_regions_share() {
    let document = document(Strategy::RegionAffinity, &THREE);
    let from = |region: Option<&str>| {
        let region = region.map(Into::into);
        leaders(&document, 6, move |request| request.region.clone_from(&region))
    };
    assert_eq!(shares(&from(Some("eu-central"))), BTreeMap::from([(1, 6)]));
    assert_eq!(shares(&from(Some("us-east"))), BTreeMap::from([(0, 6)]));
    assert_eq!(shares(&from(None)).len(), 3);
}

#[test]
fn slow_and_loaded_origins_are_avoided() {
    let document = document(Strategy::P2cEwma, &THREE);
    let slow = |request: &mut crate::Request| {
        for (view, us) in request.facts.origins.iter_mut().zip([90_000, 1_000, 1_000]) {
            view.ewma_us = us;
        }
    };
    let found = shares(&leaders(&document, 300, slow));
    assert_eq!(found.get(&0), None, "never the worst of three: {found:?}");
    assert!(found[&1] > 90 && found[&2] > 90, "{found:?}");
    let even = shares(&leaders(&document, 3_000, |_| {}));
    assert!(even.values().all(|count| (700..1_300).contains(count)), "{even:?}");
}

#[test]
fn a_credential_stays_where_it_is_when_another_origin_goes() {
    let document = document(Strategy::ConsistentHash, &THREE);
    let lead = |key: usize, ejected: Option<usize>| {
        order(&document, |request| {
            request.presented.stored = format!("key-{key}");
            if let Some(ejected) = ejected {
                request.facts.origins[ejected].ejected = true;
            }
        })[0]
    };
    let before: Vec<usize> = (0..300).map(|key| lead(key, None)).collect();
    assert!(shares(&before).values().all(|count| *count > 60), "{:?}", shares(&before));
    for (key, home) in before.iter().enumerate() {
        let after = lead(key, Some(2));
        assert!(after == *home || *home == 2, "key {key} moved from {home} to {after}");
    }
}
