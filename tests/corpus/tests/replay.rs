//! A hundred thousand requests from a seed: what is decided once is decided so again, and tells no secret.

use acip_core::trace::Replayer;
use acip_corpus::generate::generate;

/// Part of every run: some seconds. `cargo xtask replay` compares the same file with the core as wasm.
const REQUESTS: u64 = 100_000;
const SEED: u64 = 7;

#[test]
fn a_hundred_thousand_requests_are_decided_alike_again() {
    let mut replayer = Replayer::default();
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    let mut hits = 0;
    generate(SEED, REQUESTS, |line| {
        for secret in SECRETS {
            assert!(!line.contains(secret), "`{secret}` stands in {line}");
        }
        // An error where it is not what the generator's line says.
        let told = replayer.line(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some(told) = told {
            *statuses.entry(told.epilogue.record.status.as_u16()).or_default() += 1;
            hits += u64::from(told.transcript.contains("CacheHit"));
        }
        Ok(())
    })
    .expect("writes nothing");
    assert_eq!(replayer.requests(), REQUESTS);
    println!("digest {}, statuses {statuses:?}, {hits} from the cache", replayer.digest());
    // What is generated reaches every kind of decision.
    for status in [200, 204, 304, 400, 401, 403, 404, 405, 413, 429, 501, 502, 503, 504] {
        assert!(statuses.contains_key(&status), "nothing was answered with {status}: {statuses:?}");
    }
    assert!(hits > 100, "{hits} answers from the cache");
}

#[test]
fn another_seed_is_another_file() {
    let lines = |seed| {
        let mut lines = Vec::new();
        generate(seed, 50, |line| {
            lines.push(line.to_owned());
            Ok(())
        })
        .expect("writes nothing");
        lines
    };
    assert_eq!(lines(1), lines(1));
    assert_ne!(lines(1), lines(2));
}

const SECRETS: [&str; 8] = [
    "alice-key-01",
    "bob-key-02",
    "admin-token-03",
    "token-of-w1",
    "token-in-a-body",
    "nobody-key-99",
    "secret-in-a",
    "sign-secret-77",
];
