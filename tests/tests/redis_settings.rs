//! `infra/redis` as it ships: the server starts with it, the gateway's user may do what the gateway does, and no more.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use acip_core::{
    config::Algorithm,
    store::{Batch, Decoder, Guard, LimitSpec, Op, Reply, Script, resp},
};
use acip_tests::{Feature, Redis, root, supported};

/// A connection as the gateway's user.
struct Session {
    socket: TcpStream,
    decoder: Decoder,
}

impl Session {
    fn open(redis: &Redis) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
        let mut session = Self { socket, decoder: Decoder::default() };
        assert!(session.says(&["PING"]).starts_with("NOAUTH"));
        assert_eq!(session.says(&["AUTH", "gateway", "change-this-password"]), "OK");
        session
    }

    fn reply(&mut self, bytes: &[u8]) -> Reply {
        self.socket.write_all(bytes).unwrap();
        let mut buffer = [0; 4096];
        loop {
            if let Some(reply) = self.decoder.next() {
                return reply.unwrap();
            }
            let read = self.socket.read(&mut buffer).unwrap();
            assert!(read > 0, "the server closed the connection");
            self.decoder.feed(&buffer[..read]);
        }
    }

    fn says(&mut self, words: &[&str]) -> String {
        let mut out = Vec::new();
        resp::encode(words, &mut out);
        self.reply(&out).text().unwrap_or_default()
    }
}

fn server() -> Redis {
    let path = |name: &str| root().join("infra/redis").join(name).display().to_string();
    Redis::with(&[&path("redis.conf"), "--aclfile", &path("users.acl")])
}

/// One of each operation, each kind of limit.
fn everything() -> Batch {
    let limit = |name: &str, algorithm| LimitSpec {
        key: format!("gateway:ratelimit:{name}"),
        algorithm,
        limit: 5,
        window_ms: 60_000,
        cost: 1,
    };
    let spend = |name: &str, algorithm| Op::Spend {
        limit: limit(name, algorithm),
        guard: Guard::Always,
        member: format!("m{name}"),
        together: false,
    };
    let set = |key: &str, ttl_ms| Op::Set { key: key.into(), value: "1".into(), ttl_ms, only_new: true };
    let id = ("id".to_owned(), "k".to_owned());
    Batch {
        now_ms: 1_767_225_600_000,
        ops: vec![
            Op::Record { key: "gateway:key:{h}".into() },
            Op::WorkerRecord { key: "gateway:worker:w".into(), presented: "h".into() },
            spend("log", Algorithm::SlidingLog),
            spend("window", Algorithm::SlidingWindow),
            spend("bucket", Algorithm::TokenBucket),
            spend("fixed", Algorithm::FixedWindow),
            Op::SpendRecord {
                record: 0,
                prefix: "gateway:ratelimit:".into(),
                fallback: Some(limit("fallback", Algorithm::SlidingLog)),
                member: "m".into(),
                factor: 1,
            },
            Op::Get { key: "queue:stats".into() },
            Op::Workers { snapshot: "gateway:s".into(), index: "worker:index".into(), max: 9 },
            Op::Refund { key: "gateway:ratelimit:log".into(), member: "mlog".into() },
            set("gateway:cache:k", Some(1000)),
            set("worker:w:status", None),
            Op::SetHash {
                key: "gateway:key:{h}".into(),
                fields: vec![id],
                ttl_ms: Some(1000),
                only_new: false,
            },
            Op::Index { key: "worker:index".into(), member: "w".into(), max: 9, remove: false },
            Op::Delete { key: "gateway:job:j".into() },
        ],
    }
}

#[test]
fn the_gateways_user_may_do_what_the_gateway_does() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let redis = server();
    let mut session = Session::open(&redis);
    let (script, batch) = (Script::new(), everything());
    // The first time the record is new, the second time it is found.
    for whole in [true, false] {
        let mut out = Vec::new();
        if whole {
            script.encode_eval(&batch, &mut out);
        } else {
            script.encode_evalsha(&batch, &mut out);
        }
        let row = resp::row(session.reply(&out), batch.width());
        assert!(row.is_ok(), "{row:?}");
    }
    for words in [&["PING"][..], &["SELECT", "0"], &["SCAN", "0"], &["SUBSCRIBE", "gateway:config"]] {
        let said = session.says(words);
        assert!(!said.contains("NOPERM"), "{words:?}: {said}");
    }
}

#[test]
fn the_gateways_user_may_do_no_more() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let redis = server();
    let mut session = Session::open(&redis);
    for words in [
        &["GET", "other"][..],
        &["SET", "other", "1"],
        &["EVAL", "return redis.call('GET', 'other')", "0"],
        &["EVAL", "return redis.call('FLUSHALL')", "0"],
        &["KEYS", "*"],
        &["FLUSHALL"],
        &["CONFIG", "GET", "*"],
        &["ACL", "LIST"],
        &["SCRIPT", "FLUSH"],
        &["SUBSCRIBE", "other"],
    ] {
        let said = session.says(words);
        // What a script may not do is told in the script's own error.
        let refused = said.starts_with("NOPERM") || said.contains("The user executing the script can't");
        assert!(refused, "{words:?}: {said}");
    }
}

#[test]
fn a_full_server_refuses_and_evicts_nothing() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let redis = Redis::with(&[&root().join("infra/redis/redis.conf").display().to_string()]);
    let set = |key: &str| redis.cli(&["SET", key, "tenant", "PX", "100000"]);
    assert_eq!(set("gateway:job:a"), "OK");
    assert_eq!(redis.cli(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    assert!(set("gateway:job:b").starts_with("OOM"));
    assert_eq!(redis.cli(&["GET", "gateway:job:a"]), "tenant");
}
