//! Random histories: every operation, guard and algorithm over few keys, times on whole seconds.

use std::collections::BTreeMap;

use acip_core::{
    config::Algorithm,
    store::{Add, Batch, Guard, Life, LimitSpec, NO_VERSION, Op},
};
use proptest::{prelude::*, sample::select};

/// A list of batches; in `steady` ones time never goes back.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) steady: bool,
    pub(crate) batches: Vec<Batch>,
}

/// All keys of a history.
pub(crate) const KEYS: [&str; 15] = [
    "config",
    "hash:0",
    "key:0",
    "key:1",
    "worker:0",
    "l:0",
    "l:1",
    "l:2",
    "l:daily",
    "cache:0",
    "s:0",
    "worker:index",
    "worker:a/\"b:status",
    "worker:c:gpu",
    "worker:c:heartbeat",
];

/// Mostly the keys an operation is for, else one of another type.
fn keys_from(
    usual: &'static [&'static str],
    other: &'static [&'static str],
) -> impl Strategy<Value = String> {
    prop_oneof![12 => select(usual), 1 => select(other)].prop_map(Into::into)
}

/// Limits also hit keys that hold hashes. They do not share keys with strings: a limit's form in Redis is a string that the
/// model does not have.
const NOT_LIMITS: &[&str] = &["key:0", "worker:0"];

/// As above, for strings.
const NOT_STRINGS: &[&str] = &["key:1"];

fn limits() -> impl Strategy<Value = LimitSpec> {
    let algorithm = select(vec![
        Algorithm::SlidingWindow,
        Algorithm::SlidingLog,
        Algorithm::TokenBucket,
        Algorithm::FixedWindow,
    ]);
    let limit = prop_oneof![20 => 0..5_u32, 1 => Just(u32::MAX), 1 => 5..1000_u32];
    let window = prop_oneof![
        12 => select(vec![5000_u64, 7000, 61_337]),
        2 => select(vec![86_400_000, 4_294_967_295, 3_600_500, 91_000_000, 200_000_000]),
    ];
    let cost = prop_oneof![8 => Just(1), 3 => 0..4_u32, 1 => 4..9_u32];
    (keys_from(&["l:0", "l:1", "l:2"], NOT_LIMITS), algorithm, limit, window, cost).prop_map(
        |(key, algorithm, limit, window_ms, cost)| LimitSpec { key, algorithm, limit, window_ms, cost },
    )
}

fn guards() -> impl Strategy<Value = Guard> {
    prop_oneof![
        8 => Just(Guard::Always),
        3 => (0..3_usize).prop_map(Guard::IfLive),
        2 => (0..3_usize).prop_map(Guard::UnlessLive),
        1 => (0..3_usize).prop_map(Guard::IfWorkerMatches),
        1 => (0..3_usize).prop_map(Guard::IfWorkerDiffers),
        1 => (0..3_usize).prop_map(Guard::IfWorkerUnknown),
    ]
}

fn carried() -> impl Strategy<Value = String> {
    let one = (0..4_u8, 0..5_u8, select(vec!["5000", "61337", "7e3", "86400000"]), 0..8_u8, 0..4_u8);
    let one = one.prop_map(|(name, limit, window, algorithm, cost)| {
        let algorithm = match algorithm {
            0 | 1 => ",\"algorithm\":\"sliding-log\"",
            2 => ",\"algorithm\":\"token-bucket\"",
            3 => ",\"algorithm\":\"fixed-window\"",
            4 => ",\"algorithm\":null",
            5 => ",\"algorithm\":\"sliding-window\"",
            _ => "",
        };
        let cost = if cost < 3 { String::new() } else { format!(",\"cost\":{cost}.0") };
        let name = if name == 3 { "daily".into() } else { name.to_string() };
        format!("{{\"name\":\"{name}\",\"limit\":{limit},\"window_ms\":{window}{algorithm}{cost},\"note\":[{{}}]}}")
    });
    prop_oneof![
        8 => proptest::collection::vec(one, 1..4).prop_map(|list| format!(" [{}]", list.join(", "))),
        2 => select(vec![
            "", "[]", "{}", "[", "null", "[null]", "[1]", "5", "\"x\"", "[{}]", "{\"a\":1}", "nonsense",
            "[{\"name\":\"0\",\"limit\":-1,\"window_ms\":5000}]",
            "[{\"name\":\"0\",\"limit\":1.5,\"window_ms\":5000}]",
            "[{\"name\":\"0\",\"limit\":4294967296,\"window_ms\":5000}]",
            "[{\"name\":\"0\",\"limit\":\"1\",\"window_ms\":5000}]",
            "[{\"name\":\"0\",\"limit\":1,\"window_ms\":0}]",
            "[{\"name\":\"0\",\"limit\":1}]",
            "[{\"name\":0,\"limit\":1,\"window_ms\":5000}]",
            "[{\"name\":\"0\",\"limit\":1,\"window_ms\":5000,\"algorithm\":\"x\"}]",
            "[{\"name\":\"0\",\"limit\":1,\"window_ms\":5000,\"cost\":-1}]",
        ]).prop_map(Into::into),
    ]
}

/// Fields of records of both sorts; times relative to the histories' start.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let expiry = prop_oneof![
        (0..200_u64).prop_map(|seconds| (START + seconds * 1000).to_string()),
        select(vec!["", "0", "soon", "-1", "1e15", " 5", "1700000000000000"]).prop_map(Into::into),
    ];
    let daily = select(vec!["", "0", "1", "3", "1000", "x", "-1", "1e3", "0x5", "4294967296", "12345678901"]);
    let field = prop_oneof![
        1 => select(vec!["1", "0", "", "true"]).prop_map(|value| ("enabled", value.to_owned())),
        1 => expiry.prop_map(|value| ("expires_at", value)),
        3 => Just(("id", "k1".to_owned())),
        1 => select(vec!["", "acme", "é\u{7f}/"]).prop_map(|value| ("tenant", value.to_owned())),
        1 => Just(("routes", "[\"/x\"]".to_owned())),
        4 => carried().prop_map(|value| ("limits", value)),
        1 => daily.prop_map(|value| ("daily_limit", value.to_owned())),
        3 => select(vec!["h1", "h2", ""]).prop_map(|value| ("hash", value.to_owned())),
        1 => Just(("unknown", "x".to_owned())),
    ];
    proptest::collection::vec(field.prop_map(|(name, value)| (name.into(), value)), 0..7)
}

/// Half-way between two moments of a history.
fn ttls() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![1 => Just(None), 3 => (0..90_u64).prop_map(|seconds| Some(seconds * 1000 + 500))]
}

fn strings() -> impl Strategy<Value = &'static str> {
    select(vec![
        "",
        "v",
        "a\u{0}\n\t\r\u{8}\u{c}\u{1f}/\\\"\u{7f}é",
        "[\"c\",\"a/\\\"b\",3,null,\"c\"]",
        "[]",
        "{\"a\":[]}",
        "[\"c\"",
    ])
}

fn tallies() -> impl Strategy<Value = Op> {
    let field = select(FIELDS.to_vec());
    let spill = select(vec!["", "", "z", "daily_limit"]);
    let by = prop_oneof![8 => 0..9_u64, 1 => select(vec![i64::MAX.unsigned_abs(), u64::MAX])];
    let add = (field, spill, by).prop_map(|(field, spill, by)| Add {
        field: field.into(),
        spill: spill.into(),
        by,
    });
    let seconds = (0..90_u64).prop_map(|seconds| seconds * 1000 + 500);
    let key = keys_from(&["hash:0", "key:1"], &KEYS);
    (key, proptest::collection::vec(add, 0..6), 0..6_u32, seconds)
        .prop_map(|(key, adds, max, ttl_ms)| Op::Tally { key, adds, max, ttl_ms })
}

fn amends() -> impl Strategy<Value = Op> {
    let value = proptest::option::weighted(0.7, select(vec!["", "1", "0", "é\"/", "1700000090000"]));
    let field = (select(FIELDS.to_vec()), value)
        .prop_map(|(field, value)| (String::from(field), value.map(String::from)));
    let life = prop_oneof![
        2 => Just(Life::AsBefore),
        1 => Just(Life::Forever),
        1 => (0..90_u64).prop_map(|seconds| Life::Ms(seconds * 1000 + 500)),
    ];
    let max = prop_oneof![1 => 0..6_u32, 1 => Just(u32::MAX)];
    let key = keys_from(&["hash:0", "key:1"], &KEYS);
    (key, proptest::collection::vec(field, 0..5), any::<bool>(), max, life)
        .prop_map(|(key, fields, create, max, life)| Op::Amend { key, fields, create, max, life })
}

const FIELDS: [&str; 8] = ["a", "b", "c", "é\"/", "daily_limit", "expires_at", "id", "enabled"];

/// Texts that begin with a version, and some that nearly do.
fn versions() -> impl Strategy<Value = String> {
    let begins = select(vec![
        "1,",
        "2,",
        "3,",
        "03,",
        "-1,",
        "1.0,",
        "",
        ",",
        "1}",
        "999999999999999,",
        "9999999999999999,",
    ]);
    let rest = select(vec!["", "\"é\":0}", "\"version\":9,"]);
    prop_oneof![
        8 => (begins, rest).prop_map(|(begins, rest)| format!("{{\"version\":{begins}{rest}")),
        1 => select(vec!["", "{", " {\"version\":1,", "{\"Version\":1,"]).prop_map(String::from),
    ]
}

/// Versions that are known.
fn seen() -> impl Strategy<Value = u64> {
    prop_oneof![15 => 0..4_u64, 1 => Just(NO_VERSION)]
}

fn operations() -> impl Strategy<Value = Op> {
    let member = any::<u32>().prop_map(|member| format!("m{member}"));
    let known = select(vec!["m", "n"]);
    let spend = (limits(), guards(), member.clone(), any::<bool>())
        .prop_map(|(limit, guard, member, together)| Op::Spend { limit, guard, member, together });
    let fallback = proptest::option::of(limits());
    let factor = prop_oneof![4 => Just(1), 1 => select(vec![0, 2, 10, u32::MAX])];
    let spend_record = (prop_oneof![4 => Just(0_usize), 1 => 0..3_usize], fallback, member, factor).prop_map(
        |(record, fallback, member, factor)| Op::SpendRecord {
            record,
            prefix: "l:".into(),
            fallback,
            member,
            factor,
        },
    );
    prop_oneof![
        2 => (keys_from(&["config"], NOT_STRINGS), seen()).prop_map(|(key, seen)| Op::Watch { key, seen }),
        2 => (keys_from(&["config"], NOT_STRINGS), seen(), versions())
            .prop_map(|(key, seen, value)| Op::Replace { key, seen, value }),
        1 => (versions(), ttls()).prop_map(|(value, ttl_ms)| Op::Set {
            key: "config".into(),
            value: value.into(),
            ttl_ms,
            only_new: false,
        }),
        6 => keys_from(&["key:0", "key:1"], &KEYS).prop_map(|key| Op::Record { key }),
        3 => (keys_from(&["worker:0"], &KEYS), select(vec!["h1", "h2", ""]))
            .prop_map(|(key, presented)| Op::WorkerRecord { key, presented: presented.into() }),
        9 => spend,
        6 => spend_record,
        2 => keys_from(&["cache:0", "s:0", "worker:index"], NOT_STRINGS).prop_map(|key| Op::Get { key }),
        1 => (keys_from(&["s:0", "worker:index"], NOT_STRINGS), 0..4_u32)
            .prop_map(|(snapshot, max)| Op::Workers { snapshot, index: "worker:index".into(), max }),
        1 => (keys_from(&["l:0", "l:1", "l:2"], &KEYS), known).prop_map(|(key, member)| Op::Refund { key, member: member.into() }),
        2 => (keys_from(&["s:0", "cache:0", "worker:index", "worker:a/\"b:status", "worker:c:gpu", "worker:c:heartbeat"], NOT_STRINGS),
            strings(), ttls(), any::<bool>())
            .prop_map(|(key, value, ttl_ms, only_new)| Op::Set { key, value: value.into(), ttl_ms, only_new }),
        1 => (keys_from(&["cache:0"], NOT_STRINGS), proptest::collection::vec(any::<u8>(), 0..300), ttls(), any::<bool>())
            .prop_map(|(key, value, ttl_ms, only_new)| Op::Set { key, value: value.into(), ttl_ms, only_new }),
        4 => (keys_from(&["key:0", "key:1", "worker:0"], &KEYS), fields(), ttls(), any::<bool>())
            .prop_map(|(key, fields, ttl_ms, only_new)| Op::SetHash { key, fields, ttl_ms, only_new }),
        3 => tallies(),
        3 => (keys_from(&["hash:0", "key:1"], &KEYS), 0..9_u32).prop_map(|(key, max)| Op::Hash { key, max }),
        2 => (keys_from(&["hash:0", "key:1"], &KEYS), select(FIELDS.to_vec()))
            .prop_map(|(key, field)| Op::Field { key, field: field.into() }),
        4 => amends(),
        1 => keys_from(&["key:0", "l:0", "s:0"], &KEYS).prop_map(|key| Op::Delete { key }),
        1 => (keys_from(&["worker:index"], NOT_STRINGS), select(vec!["a/\"b", "c", "d"]), 0..4_u32, any::<bool>())
            .prop_map(|(key, member, max, remove)| Op::Index { key, member: member.into(), max, remove }),
    ]
}

/// The first moment of every history.
pub(crate) const START: u64 = 1_700_000_000_000;

/// Random histories.
pub(crate) fn histories() -> impl Strategy<Value = History> {
    let step = prop_oneof![
        6 => (0..10_i64).prop_map(|seconds| seconds * 1000),
        2 => Just(0),
        1 => (1..60_i64).prop_map(|seconds| seconds * -1000),
        1 => select(vec![60_000_i64, 130_000, 86_400_000, 40_000_000_000]),
    ];
    let record = fields().prop_map(|fields| Op::SetHash {
        key: "key:0".into(),
        fields,
        ttl_ms: None,
        only_new: false,
    });
    let first = (record, proptest::option::weighted(0.7, Just(Op::Record { key: "key:0".into() })));
    let batch = (step, first, proptest::collection::vec(operations(), 1..7));
    (any::<bool>(), proptest::collection::vec(batch, 1..8)).prop_map(|(steady, steps)| {
        let (mut latest, mut batches) = (START, Vec::new());
        for (step, (record, read), mut ops) in steps {
            // Most batches begin with a credential, and most of them know it.
            ops.splice(0..0, read);
            ops.extend(batches.is_empty().then_some(record));

            // A jump back is counted from the latest time: the model forgets limits a minute late.
            let now_ms = if steady || batches.is_empty() {
                latest + step.unsigned_abs()
            } else {
                latest.saturating_add_signed(step)
            };
            latest = latest.max(now_ms);
            batches.push(Batch { now_ms, ops });
        }
        // Names of admissions are unique, but for those that are given back.
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        for op in batches.iter_mut().flat_map(|batch| &mut batch.ops) {
            if let Op::Spend { member, .. } | Op::SpendRecord { member, .. } = op {
                let known = if names.contains_key("m") { "n" } else { "m" };
                *member = if names.contains_key(known) { format!("m{}", names.len()) } else { known.into() };
                names.insert(member.clone(), 0);
            }
        }
        History { steady, batches }
    })
}
