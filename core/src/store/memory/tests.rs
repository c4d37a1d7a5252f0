use alloc::{format, vec, vec::Vec};
use bytes::Bytes;

use super::{Memory, MemoryLimits};
use crate::{
    config::Algorithm,
    store::{Ask, Batch, Cell, Cells, Guard, LimitSpec, Op, Spend},
};

fn small() -> Memory {
    Memory::new(MemoryLimits {
        records: 3,
        limiters: 3,
        cache_entries: 3,
        cache_bytes: 4096,
        strings: 3,
        ..MemoryLimits::default()
    })
}

fn run(store: &mut Memory, now_ms: u64, ops: Vec<Op>) -> Vec<Cell> {
    store.apply(&Batch { now_ms, ops })
}

fn set(key: &str, ttl_ms: Option<u64>) -> Op {
    Op::Set { key: key.into(), value: Bytes::from_static(b"v"), ttl_ms, only_new: false }
}

fn hash(key: &str, fields: &[(&str, &str)]) -> Op {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Op::SetHash { key: key.into(), fields, ttl_ms: None, only_new: false }
}

fn has(store: &mut Memory, now_ms: u64, key: &str) -> bool {
    run(store, now_ms, vec![Op::Get { key: key.into() }]) != [Cell::Nil]
}

fn limit(key: &str, algorithm: Algorithm, limit: u32) -> LimitSpec {
    LimitSpec { key: key.into(), algorithm, limit, window_ms: 1000, cost: 1 }
}

fn spend(store: &mut Memory, now_ms: u64, limit: LimitSpec, member: &str) -> Spend {
    let mut ask = Ask::new(now_ms);
    let slot = ask.spend(limit, Guard::Always, member.into(), false);
    Cells(&store.apply(&ask.into_batch())).spend(slot).unwrap()
}

#[test]
fn the_cache_drops_what_was_read_least_recently_and_nothing_else() {
    let mut store = small();
    run(&mut store, 1, vec![hash("gateway:key:{a}", &[("id", "1")]), set("gateway:job:1", None)]);
    spend(&mut store, 1, limit("l", Algorithm::FixedWindow, 1), "m");
    for at in 0..3 {
        run(&mut store, 1, vec![set(&format!("gateway:cache:{at}"), None)]);
    }
    assert!(has(&mut store, 1, "gateway:cache:0"));
    run(&mut store, 1, vec![set("gateway:cache:3", None)]);
    let left: Vec<bool> = (0..4).map(|at| has(&mut store, 1, &format!("gateway:cache:{at}"))).collect();
    assert_eq!(left, [true, false, true, true]);
    let big = Op::Set {
        key: "gateway:cache:big".into(),
        value: vec![0; 5000].into(),
        ttl_ms: None,
        only_new: false,
    };
    run(&mut store, 1, vec![big]);
    assert!(!has(&mut store, 1, "gateway:cache:big"));
    assert!(has(&mut store, 1, "gateway:job:1"));
    assert!(!spend(&mut store, 1, limit("l", Algorithm::FixedWindow, 1), "m").admitted);
    assert_eq!(store.usage().records, 1);
}

#[test]
fn a_full_kind_drops_what_expires_first() {
    let mut store = small();
    run(&mut store, 1, vec![set("a", Some(500)), set("b", Some(100)), set("c", None), set("d", Some(900))]);
    let left: Vec<bool> = ["a", "b", "c", "d"].iter().map(|key| has(&mut store, 1, key)).collect();
    assert_eq!(left, [true, false, true, true]);
    run(&mut store, 1, vec![hash("1", &[("id", "")]), hash("2", &[("id", "")]), hash("3", &[("id", "")])]);
    run(&mut store, 1, vec![hash("4", &[("id", "")])]);
    assert_eq!(store.usage().records, 3, "records that never expire are not dropped for a new one");
    for at in 0..100 {
        spend(&mut store, 1 + at, limit(&format!("l{at}"), Algorithm::SlidingLog, 5), "m");
    }
    assert_eq!(store.usage().limiters, 3);
}

#[test]
fn keys_expire_and_are_swept() {
    let mut store = Memory::default();
    for at in 0..500 {
        run(&mut store, 1000 + at, vec![set(&format!("s{at}"), Some(100))]);
        spend(&mut store, 1000 + at, limit(&format!("l{at}"), Algorithm::TokenBucket, 5), "m");
    }
    assert!(!has(&mut store, 1500, "s0"));
    assert!(has(&mut store, 1500, "s499"));
    assert!(!has(&mut store, 1000, "s0"), "time does not go back for what has expired");
    for _ in 0..40 {
        run(&mut store, 1_000_000, vec![]);
    }
    assert_eq!(store.usage(), super::MemoryUse::default());
}

#[test]
fn logs_are_exact_and_give_back() {
    let mut store = Memory::default();
    let log = |cost| LimitSpec { cost, ..limit("l", Algorithm::SlidingLog, 5) };
    let check = |spend: Spend, expected: (bool, u32, u64, u64)| {
        assert_eq!((spend.admitted, spend.remaining, spend.reset_ms, spend.retry_after_ms), expected);
    };
    check(spend(&mut store, 10_000, log(2), "a"), (true, 3, 11_000, 0));
    check(spend(&mut store, 10_400, log(3), "b"), (true, 0, 11_400, 0));
    check(spend(&mut store, 10_500, log(1), "c"), (false, 0, 11_400, 500));
    check(spend(&mut store, 10_500, log(3), "c"), (false, 0, 11_400, 900));
    check(spend(&mut store, 10_500, log(6), "c"), (false, 0, 11_400, 1000));
    check(spend(&mut store, 9000, log(1), "c"), (false, 0, 11_400, 600));
    run(&mut store, 10_500, vec![Op::Refund { key: "l".into(), member: "b".into() }]);
    check(spend(&mut store, 10_500, log(1), "d"), (true, 2, 11_500, 0));
    check(spend(&mut store, 11_000, log(4), "e"), (true, 0, 12_000, 0));
}

#[test]
fn a_malformed_record_refuses_by_name() {
    let check = |limits: &str, daily: &str, expected: Option<&str>| {
        let mut store = Memory::default();
        run(&mut store, 1, vec![hash("k", &[("id", "1"), ("limits", limits), ("daily_limit", daily)])]);
        let mut ask = Ask::new(1);
        let record = ask.record("k".into());
        let slot = ask.spend_record(record, "p:".into(), None, "m".into(), 1);
        let spend = Cells(&store.apply(&ask.into_batch())).spend(slot);
        assert_eq!(spend.as_ref().map(|spend| spend.name.as_str()), expected, "{limits} {daily}");
        if let Some(spend) = spend {
            assert_eq!(spend.admitted, spend.name != "invalid");
        }
    };
    check("", "", None);
    check("[]", "", None);
    check("", "7", Some("daily"));
    check(r#"[{"name":"a","limit":5,"window_ms":10.0}]"#, "7", Some("a"));
    let invalid = [
        "{}",
        "[1]",
        "[null]",
        "x",
        "[",
        r#"[{"name":"a","limit":-1,"window_ms":1}]"#,
        r#"[{"name":"a","limit":1.5,"window_ms":1}]"#,
        r#"[{"name":"a","limit":1,"window_ms":0}]"#,
        r#"[{"name":"a","limit":"1","window_ms":1}]"#,
        r#"[{"name":"","limit":1,"window_ms":1}]"#,
        r#"[{"name":"a","limit":1,"window_ms":1,"algorithm":"best"}]"#,
        r#"[{"name":"a","limit":1,"window_ms":1},{"name":"a","limit":1,"window_ms":2}]"#,
    ];
    for limits in invalid {
        check(limits, "", Some("invalid"));
    }
    check("", "many", Some("invalid"));
    check("", "99999999999", Some("invalid"));
    check(
        &format!("[{}]", vec![r#"{"name":"a","limit":1,"window_ms":1}"#; 17].join(",")),
        "",
        Some("invalid"),
    );
}

#[test]
fn the_worker_list_is_read_by_its_index() {
    let mut store = Memory::default();
    let index = |member: &str, remove| Op::Index {
        key: "worker:index".into(),
        member: member.into(),
        max: 2,
        remove,
    };
    let status = Op::Set {
        key: "worker:w/1:status".into(),
        value: Bytes::from_static(b"{\"a\":1}"),
        ttl_ms: None,
        only_new: true,
    };
    run(
        &mut store,
        1,
        vec![index("gone", false), index("w/1", false), index("third", false), index("gone", true), status],
    );
    let ask = Op::Workers { snapshot: "s".into(), index: "worker:index".into(), max: 9 };
    let cells = run(&mut store, 1, vec![ask.clone()]);
    let text = br#"{"ids":["w\/1"],"status":["{\"a\":1}"],"gpu":[false],"heartbeat":[false]}"#;
    assert_eq!(cells, [Cell::Bytes(Bytes::from_static(text))]);
    run(&mut store, 1, vec![set("s", Some(5))]);
    assert_eq!(run(&mut store, 1, vec![ask]), [Cell::Bytes(Bytes::from_static(b"v"))]);
}
