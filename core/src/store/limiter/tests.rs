use alloc::{vec, vec::Vec};
use proptest::prelude::*;

use super::{Ask, Outcome, State};
use crate::config::Algorithm;

const ALL: [Algorithm; 3] = [Algorithm::SlidingWindow, Algorithm::FixedWindow, Algorithm::TokenBucket];

fn judge(state: &mut State, algorithm: Algorithm, now: u64, limit: u64, window: u64, cost: u64) -> Outcome {
    let ask = Ask { now, limit, window, cost };
    let outcome = state.judge(ask, algorithm == Algorithm::FixedWindow, "m", |_| None);
    if let Some(next) = &outcome.next {
        *state = next.clone();
    }
    outcome
}

/// Times and whether a request of cost 1 at each was admitted.
fn admitted(algorithm: Algorithm, limit: u64, window: u64, times: &[u64]) -> Vec<u64> {
    let mut state = State::fresh(algorithm);
    times
        .iter()
        .copied()
        .filter(|now| judge(&mut state, algorithm, *now, limit, window, 1).admitted)
        .collect()
}

/// Most admissions in any span of `window`.
fn densest(times: &[u64], window: u64) -> usize {
    let within = |start: u64| times.iter().filter(|time| (start..start + window).contains(*time)).count();
    times.iter().map(|start| within(*start)).max().unwrap_or(0)
}

#[test]
fn the_sliding_window_reaches_its_bound_and_no_more() {
    let worst: Vec<u64> = [vec![1999; 20], vec![2998; 20], vec![2999; 20]].concat();
    assert_eq!(densest(&admitted(Algorithm::SlidingWindow, 10, 1000, &worst), 1000), 19);
}

#[test]
fn extremes_do_not_overflow() {
    let most = u64::from(u32::MAX);
    for algorithm in ALL {
        let mut state = State::fresh(algorithm);
        for now in [0, 1, most, 1 << 40, 1_000_000_000_000_000, 5] {
            for (limit, window, cost) in
                [(most, most, most), (most, most, 1), (1, most, most), (most, 1, most), (0, 1, 0)]
            {
                judge(&mut state, algorithm, now, limit, window, cost);
            }
        }
    }
}

proptest! {
    #[test]
    fn bounds_hold(
        steps in proptest::collection::vec(0_u64..700, 1..120), limit in 1_u64..6, window in 1_u64..2000
    ) {
        let times: Vec<u64> = steps.iter().scan(5000, |now, step| { *now += step; Some(*now) }).collect();
        for (algorithm, bound) in [
            (Algorithm::SlidingWindow, 2 * limit - 1), (Algorithm::FixedWindow, 2 * limit), (Algorithm::TokenBucket, 2 * limit)
        ] {
            let times = admitted(algorithm, limit, window, &times);
            prop_assert!(densest(&times, window) as u64 <= bound.max(1), "{algorithm:?}");
        }
    }

    #[test]
    fn retry_after_is_exact(
        steps in proptest::collection::vec((0_u64..1500, 0_u64..4), 1..40), limit in 1_u64..6, window in 1_u64..4000
    ) {
        for algorithm in ALL {
            let mut state = State::fresh(algorithm);
            let mut now = 100_000;
            for (step, cost) in &steps {
                now += step;
                let before = state.clone();
                let outcome = judge(&mut state, algorithm, now, limit, window, *cost);
                if !outcome.admitted && *cost <= limit {
                    let at = |wait| judge(&mut before.clone(), algorithm, now + wait, limit, window, *cost).admitted;
                    prop_assert!(at(outcome.retry_after), "{algorithm:?} admits after the wait");
                    prop_assert!(!at(outcome.retry_after - 1), "{algorithm:?} does not admit sooner");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_admits_no_more(
        steps in proptest::collection::vec((-3000_i64..3000, 0_u64..3000), 1..60), limit in 1_u64..6, window in 1_u64..4000
    ) {
        for algorithm in ALL {
            let mut state = State::fresh(algorithm);
            let mut now = 1_000_000_u64;
            for (step, back) in &steps {
                now = now.saturating_add_signed(*step);
                let earlier = judge(&mut state.clone(), algorithm, now - back, limit, window, 1);
                let outcome = judge(&mut state, algorithm, now, limit, window, 1);
                prop_assert!(outcome.admitted || !earlier.admitted, "{algorithm:?}");
                prop_assert!(outcome.before >= earlier.before, "{algorithm:?}");
            }
        }
    }
}
