//! The script on a real Redis and its meaning in Rust answer alike: 10,000 random histories, cell by cell.
//!
//! Redis expires by its own clock, the model by the time of the batches. So the histories tell Redis how time passes: before
//! each batch that moves the latest time on, every key's remaining time is cut by as much. Times lie on whole
//! seconds and times to live half-way between, so that the milliseconds the test itself takes never decide. In histories whose
//! clock jumps back, limits are left alone: both must then remember what the later clock has counted.

mod histories;
mod server;

use std::{collections::BTreeMap, sync::Barrier};

use acip_core::{
    config::Algorithm,
    store::{
        Ask, Batch, Cell, Cells, Guard, Life, LimitSpec, Memory, Op, Replaced, Reply, Script, StoreError,
        resp,
    },
};
use proptest::{
    prop_assert_eq,
    test_runner::{Config, TestRunner},
};

use histories::{KEYS, START, histories};
use server::{Connection, Server};

/// Puts every key of a history under a prefix of its own.
fn prefixed(op: &Op, prefix: &str) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Spend { limit, .. } => limit.key.insert_str(0, prefix),
        Op::SpendRecord { prefix: key, fallback, .. } => {
            key.insert_str(0, prefix);
            if let Some(limit) = fallback {
                limit.key.insert_str(0, prefix);
            }
        }
        Op::Workers { snapshot, index, .. } => {
            snapshot.insert_str(0, prefix);
            index.insert_str(0, prefix);
        }
        Op::Record { key }
        | Op::WorkerRecord { key, .. }
        | Op::Get { key }
        | Op::Watch { key, .. }
        | Op::Replace { key, .. }
        | Op::Hash { key, .. }
        | Op::Field { key, .. }
        | Op::Amend { key, .. }
        | Op::Tally { key, .. }
        | Op::Refund { key, .. }
        | Op::Set { key, .. }
        | Op::SetHash { key, .. }
        | Op::Delete { key }
        | Op::Publish { channel: key, .. }
        | Op::Index { key, .. } => key.insert_str(0, prefix),
        Op::Local(op) => **op = prefixed(op, prefix),
    }
    op
}

/// First cells of some operations.
fn cells_of(ops: &[Op], which: fn(&Op) -> bool) -> impl Iterator<Item = usize> {
    let starts = ops.iter().scan(0, |next, op| Some(std::mem::replace(next, *next + op.width())));
    ops.iter().zip(starts).filter(move |(op, _)| which(op)).map(|(_, cell)| cell)
}

/// Redis gives the fields of a hash in no order; for comparing, in that of their names.
fn in_order(ops: &[Op], mut row: Vec<Cell>) -> Vec<Cell> {
    for cell in cells_of(ops, |op| matches!(op, Op::Hash { .. })) {
        if let Cell::Bytes(text) = &row[cell] {
            let words: Vec<String> = serde_json::from_slice(text).unwrap();
            let mut pairs: Vec<_> = words.chunks(2).collect();
            pairs.sort();
            row[cell] = Cell::Bytes(pairs.concat().join("\0").into());
        }
    }
    row
}

/// Lets time pass for the keys; for limits only if asked.
const PASS: &str = r"
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  local kind = redis.call('TYPE', key).ok
  local value = kind == 'string' and redis.call('GET', key) or ''
  local limit = kind == 'zset' or string.match(value, '^[WFB] %d+ %d+ %d+ %d+$')
  if left > 0 and (ARGV[2] == '1' or not limit) then
    if left <= tonumber(ARGV[1]) then redis.call('DEL', key) else redis.call('PEXPIRE', key, left - tonumber(ARGV[1])) end
  end
end
return 1";

fn pass(prefix: &str, elapsed_ms: u64, steady: bool, out: &mut Vec<u8>) {
    let mut words = vec!["EVAL".to_owned(), PASS.to_owned(), KEYS.len().to_string()];
    words.extend(KEYS.iter().map(|key| format!("{prefix}{key}")));
    words.extend([elapsed_ms.to_string(), u8::from(steady).to_string()]);
    resp::encode(&words, out);
}

#[test]
fn script_and_model_agree_on_random_histories() {
    let server = Server::start();
    let script = Script::new();
    let connection = std::cell::RefCell::new(Connection::new(&server));
    let loaded = connection.borrow_mut().command(&["SCRIPT", "LOAD", Script::SOURCE]);
    assert_eq!(loaded.text().as_deref(), Some(script.sha1()));
    let count = std::cell::Cell::new(0);
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let mut admissions = BTreeMap::<Option<bool>, u64>::new();
    let seen = std::cell::RefCell::new(&mut admissions);
    let read = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&histories(), |history| {
        let prefix = format!("h{}:", count.replace(count.get() + 1));
        let mut out = Vec::new();
        let mut latest = START;
        let mut passes = Vec::new();
        let mut batches = Vec::new();
        for batch in &history.batches {
            let ops = batch.ops.iter().map(|op| prefixed(op, &prefix)).collect();
            let batch = Batch { ops, ..batch.clone() };
            passes.push(batch.now_ms > latest);
            if batch.now_ms > latest {
                pass(&prefix, batch.now_ms - latest, history.steady, &mut out);
                latest = batch.now_ms;
            }
            // Every other one as transports write it that carry text alone.
            match batches.len() % 2 {
                0 => script.encode_evalsha(&batch, &mut out),
                _ => resp::encode(&script.text_words(&batch, false), &mut out),
            }
            batches.push(batch);
        }
        let mut connection = connection.borrow_mut();
        connection.send(&out);
        let mut replies = Vec::new();
        for passes in passes {
            if passes {
                assert_eq!(connection.reply(), Reply::Int(1));
            }
            replies.push(connection.reply());
        }
        let mut memory = Memory::default();
        for (at, (batch, reply)) in batches.iter().zip(replies).enumerate() {
            let model = in_order(&batch.ops, memory.apply(batch));
            let row = resp::row(reply, batch.width()).map(|row| in_order(&batch.ops, row));
            prop_assert_eq!(row.as_ref(), Ok(&model), "batch {}", at);
            let hashes = cells_of(&batch.ops, |op| matches!(op, Op::Hash { .. }));
            read.set(read.get() + hashes.filter(|cell| model[*cell] != Cell::Nil).count());
            let mut cell = 0;
            for op in &batch.ops {
                if matches!(op, Op::Spend { .. } | Op::SpendRecord { .. }) {
                    let admitted = match &model[cell] {
                        Cell::Int(admitted) => Some(*admitted == 1),
                        _ => None,
                    };
                    *seen.borrow_mut().entry(admitted).or_default() += 1;
                }
                cell += op.width();
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(read.get() > 1000, "{} hashes were read", read.get());
    // Histories that never admit, or never refuse, would agree for nothing.
    for kind in [None, Some(true), Some(false)] {
        assert!(admissions.get(&kind).is_some_and(|count| *count > 5000), "{admissions:?}");
    }
}

/// Redis drops a hash with its last field, and with it the time it was to end.
#[test]
fn a_hash_whose_last_field_is_replaced_ends_when_it_would_have() {
    let server = Server::start();
    let mut connection = Connection::new(&server);
    connection.command(&["HSET", "x", "old", "1"]);
    connection.command(&["PEXPIRE", "x", "60000"]);
    let fields = vec![("old".into(), None), ("new".into(), Some("2".into()))];
    let amend = Op::Amend { key: "x".into(), fields, create: false, max: 9, life: Life::AsBefore };
    let batch = Batch { now_ms: START, ops: vec![amend] };
    let mut out = Vec::new();
    Script::new().encode_eval(&batch, &mut out);
    connection.send(&out);
    assert_eq!(resp::row(connection.reply(), batch.width()), Ok(vec![Cell::Int(1)]));
    assert_eq!(connection.command(&["HGET", "x", "new"]).text().as_deref(), Some("2"));
    let left = connection.command(&["PTTL", "x"]);
    assert!(matches!(left, Reply::Int(1..=60_000)), "{left:?}");
}

#[test]
fn of_50_writers_of_one_version_one_writes() {
    let server = Server::start();
    let script = Script::new();
    Connection::new(&server).command(&["SCRIPT", "LOAD", Script::SOURCE]);
    let barrier = Barrier::new(50);
    let written: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..50)
            .map(|writer| {
                let (mut connection, script, barrier) = (Connection::new(&server), &script, &barrier);
                scope.spawn(move || {
                    let mut ask = Ask::new(START);
                    let value = format!("{{\"version\":1,\"by\":\"{writer}\"}}");
                    let slot = ask.replace("config".into(), 0, value.clone());
                    let batch = ask.into_batch();
                    let mut out = Vec::new();
                    script.encode_evalsha(&batch, &mut out);
                    barrier.wait();
                    connection.send(&out);
                    let row = resp::row(connection.reply(), batch.width()).unwrap();
                    match Cells(&row).replaced(slot) {
                        Replaced::Written => 1,
                        Replaced::Lost(theirs) => {
                            assert!(theirs.starts_with(b"{\"version\":1,") && theirs != value, "{theirs:?}");
                            0
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(written, 1);
}

#[test]
fn limits_are_exact_for_50_connections_at_one_instant() {
    let server = Server::start();
    let script = Script::new();
    Connection::new(&server).command(&["SCRIPT", "LOAD", Script::SOURCE]);
    let check = |algorithm, key: &str, expected: usize| {
        let barrier = Barrier::new(50);
        let admitted: usize = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..50)
                .map(|client| {
                    let mut connection = Connection::new(&server);
                    let (script, barrier) = (&script, &barrier);
                    scope.spawn(move || {
                        let mut out = Vec::new();
                        for at in 0..6 {
                            let key = key.into();
                            let limit = LimitSpec { key, algorithm, limit: 100, window_ms: 60_000, cost: 1 };
                            let member = format!("{client}-{at}");
                            let op = Op::Spend { limit, guard: Guard::Always, member, together: true };
                            let batch = Batch { now_ms: START, ops: vec![op] };
                            script.encode_evalsha(&batch, &mut out);
                        }
                        barrier.wait();
                        connection.send(&out);
                        let admits = |reply| resp::row(reply, 7).unwrap()[0] == Cell::Int(1);
                        (0..6).filter(|_| admits(connection.reply())).count()
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert_eq!(admitted, expected, "{algorithm:?}");
        let left = Connection::new(&server).command(&["PTTL", key]);
        assert!(
            matches!(left, Reply::Int(1..=120_000)),
            "{algorithm:?} is kept at most two windows: {left:?}"
        );
    };
    check(Algorithm::SlidingLog, "log", 100);
    check(Algorithm::TokenBucket, "bucket", 100);
    check(Algorithm::SlidingWindow, "window", 100);
    check(Algorithm::FixedWindow, "fixed", 100);
    assert_eq!(Connection::new(&server).command(&["ZCARD", "log"]), Reply::Int(100));
}

#[test]
fn a_server_without_the_script_says_so_and_takes_it_whole() {
    let server = Server::start();
    let script = Script::new();
    let mut connection = Connection::new(&server);
    let batch = Batch { now_ms: START, ops: vec![Op::Get { key: "none".into() }] };
    let mut ask = |whole: bool| {
        let mut out = Vec::new();
        if whole {
            script.encode_eval(&batch, &mut out);
        } else {
            script.encode_evalsha(&batch, &mut out);
        }
        connection.send(&out);
        resp::row(connection.reply(), batch.width())
    };
    assert!(ask(false).as_ref().is_err_and(StoreError::is_no_script));
    assert_eq!(ask(true), Ok(vec![Cell::Nil]));
    assert_eq!(ask(false), Ok(vec![Cell::Nil]));
    let words: Vec<String> =
        script.words(&batch, false).into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
    assert_eq!(words.join(" "), format!("EVALSHA {} 1 none {START} G", script.sha1()));
}

#[test]
fn a_key_of_another_type_is_absent_to_reads_and_new_to_limits() {
    let server = Server::start();
    let script = Script::new();
    let mut connection = Connection::new(&server);
    let mut check = |command: &[&str], algorithm| {
        connection.command(&["DEL", "x"]);
        connection.command(command);
        let key = || "x".to_owned();
        let limit = LimitSpec { key: key(), algorithm, limit: 2, window_ms: 60_000, cost: 1 };
        let ops = vec![
            Op::Record { key: key() },
            Op::WorkerRecord { key: key(), presented: "h".into() },
            Op::Refund { key: key(), member: "m".into() },
            Op::Spend { limit, guard: Guard::UnlessLive(0), member: "m".into(), together: true },
        ];
        let batch = Batch { now_ms: START, ops };
        let mut out = Vec::new();
        script.encode_eval(&batch, &mut out);
        connection.send(&out);
        let row = resp::row(connection.reply(), batch.width()).unwrap();
        assert_eq!(
            row[..10],
            [&[Cell::Int(0)][..], &vec![Cell::Nil; 7], &[Cell::Int(0), Cell::Int(1)]].concat(),
            "{command:?}"
        );
        assert_eq!(row[11], Cell::Int(1), "{command:?}");
    };
    for algorithm in
        [Algorithm::SlidingWindow, Algorithm::SlidingLog, Algorithm::TokenBucket, Algorithm::FixedWindow]
    {
        check(&["RPUSH", "x", "1"], algorithm);
        check(&["SADD", "x", "1"], algorithm);
        check(&["SET", "x", "W 60000 nonsense"], algorithm);
        check(&["SET", "x", ""], algorithm);
        check(&["HSET", "x", "other", "1"], algorithm);
    }
    for reading in [&["RPUSH", "y", "1"][..], &["ZADD", "y", "1", "m"], &["HSET", "y", "a", "b"]] {
        connection.command(&["DEL", "y"]);
        connection.command(reading);
        let workers = Op::Workers { snapshot: "y".into(), index: "y".into(), max: 9 };
        let index = Op::Index { key: "y".into(), member: "a".into(), max: 2, remove: false };
        let ops = vec![Op::Get { key: "y".into() }, workers, index, Op::Get { key: "y".into() }];
        let batch = Batch { now_ms: START, ops };
        let mut out = Vec::new();
        script.encode_eval(&batch, &mut out);
        connection.send(&out);
        let empty = Cell::Bytes(r#"{"ids":[],"status":[],"gpu":[],"heartbeat":[]}"#.into());
        let row = resp::row(connection.reply(), batch.width());
        assert_eq!(row, Ok(vec![Cell::Nil, empty, Cell::Bytes("[\"a\"]".into())]));
    }
}
