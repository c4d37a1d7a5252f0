//! Random histories: whatever happens in whatever order, nobody sees another's answer, a forbidden one, or
//! one past its time.

use alloc::{format, string::String, vec::Vec};
use proptest::prelude::*;

use super::sim::{Origin, Sim, ok, says};
use crate::outcome::CacheStatus;

#[derive(Clone, Debug)]
enum Act {
    /// Who, where, what the client wants; what the origin would say.
    Get(usize, usize, usize, usize),
    /// Who and where.
    Post(usize, usize),
    Wait(u64),
    /// The clock goes back.
    Back(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..WHO.len(), 0..WHERE.len(), 0..WANTS.len(), 0..CONTROL.len() + 3)
            .prop_map(|(who, at, wants, says)| Act::Get(who, at, wants, says)),
        1 => (0..WHO.len(), 0..WHERE.len()).prop_map(|(who, at)| Act::Post(who, at)),
        2 => (0..40_u64).prop_map(Act::Wait),
        1 => (0..20_u64).prop_map(Act::Back),
    ]
}

/// An answer that the origin gave: its body says for whom, of what and which.
struct Given {
    body: String,
    /// Seconds that it may be used without asking the origin, from its last validation.
    usable_s: u64,
    at_ms: u64,
    storable: bool,
    /// Who changed what it is of, since.
    overtaken_by: Vec<usize>,
}

fn run(acts: &[Act]) {
    let mut sim = Sim::new();
    let mut given: Vec<Given> = Vec::new();
    for (number, act) in acts.iter().enumerate() {
        match act {
            Act::Wait(seconds) => sim.wait(*seconds),
            Act::Back(seconds) => sim.now_ms -= seconds * 1000,
            Act::Post(who, at) => {
                sim.send("POST", WHERE[*at], &[("x-api-key", WHO[*who])], ok(&[], ""));
                for given in given.iter_mut().filter(|it| it.body.contains(&format!(" {} ", WHERE[*at]))) {
                    given.overtaken_by.push(*who);
                }
            }
            Act::Get(who, at, wants, answer) => {
                let (who_text, place) = (WHO[*who], WHERE[*at]);
                let request = [("x-api-key", who_text), ("cache-control", WANTS[*wants])];
                let body = format!("{who_text} {place} {number}");
                let tag = format!("\"{number}\"");
                let (origin, control) = match CONTROL.get(*answer) {
                    Some((control, usable_s)) => {
                        let fields = [("cache-control", *control), ("etag", tag.as_str())];
                        (ok(&fields, &body), Some((*control, *usable_s)))
                    }
                    None if *answer == CONTROL.len() => (says(503, &[], "error"), None),
                    None if *answer == CONTROL.len() + 1 => {
                        (Origin::Fails(crate::OriginFailure::Timeout), None)
                    }
                    None => (says(304, &[], ""), None),
                };
                let seen = sim.get(place, &request, origin);
                let served = seen.body.as_str();
                if let Some(old) = given.iter().find(|it| it.body == served) {
                    assert!(old.storable, "stored what must not be: {served}");
                    assert!(served.contains(&format!(" {place} ")), "{served} at {place}");
                    let mine = served.starts_with(&format!("{who_text} "));
                    assert!(mine || place.starts_with("/all/"), "{who_text} got {served}");
                    let asked = seen.asked.is_some() && !seen.behind;
                    let age_s = sim.now_ms.saturating_sub(old.at_ms) / 1000;
                    assert!(asked || age_s < old.usable_s, "{served} after {age_s} s");
                    assert!(!old.overtaken_by.contains(who), "{served} is no more");
                    assert!(asked || WANTS[*wants] != "no-cache", "{served} in spite of no-cache");
                }
                let validated = seen.cache == Some(CacheStatus::Hit) && seen.asked.is_some()
                    || seen.behind && control.is_none() && *answer == CONTROL.len() + 2;
                if let Some(old) = given.iter_mut().find(|it| validated && it.body == served) {
                    old.at_ms = sim.now_ms;
                }
                if let Some((control, usable_s)) = control.filter(|_| seen.asked.is_some()) {
                    let storable = !["no-store", "private"].iter().any(|word| control.contains(word));
                    let overtaken_by = Vec::new();
                    given.push(Given { body, usable_s, at_ms: sim.now_ms, storable, overtaken_by });
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn histories(acts in proptest::collection::vec(act(), 1..40)) {
        run(&acts);
    }
}

const WHO: [&str; 2] = ["ann", "bob"];
const WHERE: [&str; 3] = ["/own/a", "/own/b", "/all/c"];
const WANTS: [&str; 4] = ["x", "x", "no-cache", "max-age=5"];
/// And the seconds that an answer may be used without the origin.
const CONTROL: [(&str, u64); 7] = [
    ("max-age=20", 20),
    ("max-age=10, stale-while-revalidate=10", 21),
    ("max-age=10, stale-if-error=10", 10),
    ("max-age=10, must-revalidate, stale-while-revalidate=10", 10),
    ("no-store", 0),
    ("private, max-age=60", 0),
    ("no-cache", 0),
];
