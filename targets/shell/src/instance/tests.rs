use acip_core::store::{Add, Op};

use super::*;

fn open(variables: &[(&str, &str)]) -> Opened {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Instance::open("spin", variables, Moment { now_ms: 1_000, mono_us: 0 })
}

#[test]
fn the_operator_reads_what_is_wrong() {
    let check = |variables: &[(&str, &str)], bad, lines: &[&str]| {
        let opened = open(variables);
        assert_eq!((opened.instance.bad, opened.log.len()), (bad, lines.len()), "{:?}", opened.log);
        for (line, part) in opened.log.iter().zip(lines) {
            assert!(line.contains(part), "{line}");
        }
    };
    check(&[], false, &["no store is configured"]);
    check(&[("REDIS_URL", "redis://a")], false, &[]);
    check(&[("REDIS_URL", "redis://a"), ("OTEL_ENABLED", "true")], false, &["no collector is named"]);
    check(&[("AUTH_ENABLED", "perhaps"), ("REDIS_ULR", "redis://a")], true, &["REDIS_ULR", "AUTH_ENABLED"]);
    check(
        &[("GATEWAY_CONFIG", "[auth]\nenabled = 7"), ("REDIS_URL", "redis://a")],
        true,
        &["GATEWAY_CONFIG:2"],
    );
    check(&[("GATEWAY_CONFIG", " {\"auth\": {\"enabled\": false}}"), ("REDIS_URL", "redis://a")], false, &[]);
}

#[test]
fn what_the_store_did_is_said_once() {
    let Opened { instance, .. } = open(&[("REDIS_URL", "redis://a")]);
    assert!(instance.asked("tcp", 1, Ok(90), 0).is_none());
    assert!(instance.asked("tcp", 1, Err(&StoreError::Timeout), 0).is_some_and(|line| line.contains("WARN")));
    assert!(instance.asked("tcp", 0, Err(&StoreError::Timeout), 0).is_none());
    let status = instance.status(0, 5_000, Some(MetricsFormat::Prometheus));
    assert_eq!((status.store.up, status.store.latency_us, status.uptime_ms), (false, Some(90), 5));
    assert!(status.metrics.contains("gateway_store_errors_total 2\n"), "{}", status.metrics);
    assert!(status.metrics.contains("gateway_store_round_trips_total 2\n"), "{}", status.metrics);
    assert!(instance.asked("tcp", 1, Ok(80), 0).is_some_and(|line| line.contains("again")));
}

fn counts(by: u64) -> Op {
    let adds = vec![Add { field: "t".into(), spill: String::new(), by }];
    Op::Tally { key: "gateway:metrics:cloudflare".into(), adds, max: 9, ttl_ms: 1 }
}

#[test]
fn counts_wait_for_others_and_nothing_else_does() {
    let Opened { instance, .. } = open(&[("REDIS_URL", "redis://a")]);
    let gather = |now_ms, ops: Vec<Op>| instance.gather(Batch { now_ms, ops }, 100);
    let other = || Op::Set { key: "k".into(), value: "v".into(), ttl_ms: None, only_new: false };
    assert!(matches!(gather(1_000, vec![counts(2)]), Due::Later));
    assert!(matches!(gather(1_099, vec![counts(2)]), Due::WithOthers));
    // Two commands were counted twice; one of them is saved.
    assert_eq!(instance.gathered(1_100), Some(Batch { now_ms: 1_100, ops: vec![counts(3)] }));
    assert_eq!(instance.gathered(1_101), None, "nothing waits any more");
    assert!(matches!(gather(1_102, vec![counts(1)]), Due::Later), "the next one waits anew");
    // What somebody may ask for is written at once, and takes along what waits.
    let Due::Now(batch) = gather(1_103, vec![other(), counts(1)]) else { panic!("it waits") };
    assert_eq!(batch.ops, [other(), counts(1)]);
    assert!(matches!(gather(1_104, Vec::new()), Due::Now(_)), "what the instance owes is no request's count");
    assert!(matches!(gather(1_105, vec![counts(1)]), Due::WithOthers), "the first one's task still comes");
    // Where it does not, another takes its place.
    assert!(matches!(gather(1_202, vec![counts(1)]), Due::Later));
}
