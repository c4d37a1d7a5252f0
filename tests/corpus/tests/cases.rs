//! Every case of `tests/cases` against the core and its driver, with the embedded store.

use acip_core::store::Memory;
use acip_corpus::{
    folder,
    inside::InProcess,
    live::{EXAMPLE, Live},
    load::load,
    redis::RedisStore,
    run::{Target as _, run_all},
};
use acip_tests::Redis;

/// `ACIP_CASE=cache/` runs only cases whose name holds that.
#[test]
fn every_case_holds_with_the_embedded_store() {
    let cases = load(&folder()).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let filter = std::env::var("ACIP_CASE").unwrap_or_default();
    let mut target = InProcess::new(Memory::default());
    let tally = run_all(&mut target, &cases, &filter);
    println!("{}: {tally}", target.name());
    assert!(tally.failed.is_empty(), "{}: {tally}", target.name());
}

/// The script and its meaning in Rust lead to the same answers.
#[test]
fn every_case_holds_with_the_script_on_redis() {
    let cases = load(&folder()).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let filter = std::env::var("ACIP_CASE").unwrap_or_default();
    let redis = Redis::start();
    let store = RedisStore::connect(redis.port()).unwrap_or_else(|error| panic!("{error}"));
    let mut target = InProcess::new(store);
    let tally = run_all(&mut target, &cases, &filter);
    println!("{}: {tally}", target.name());
    assert!(tally.failed.is_empty(), "{}: {tally}", target.name());
}

/// An answer is kept and used alike wherever that is; only what is about the store itself is left out.
#[test]
fn every_case_of_the_cache_holds_where_the_process_keeps_it() {
    let cases = load(&folder()).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let of_the_cache = cases.into_iter().filter(|case| case.name.starts_with("cache/"));
    let cases: Vec<_> = of_the_cache
        .map(|mut case| {
            case.variables.entry("CACHE_BACKEND".into()).or_insert_with(|| "memory".into());
            case
        })
        .filter(|case| !case.name.contains("exchanged while it runs") && !case.name.contains(": taken back"))
        .collect();
    let mut target = InProcess::new(Memory::default());
    let tally = run_all(&mut target, &cases, "");
    assert!(tally.failed.is_empty() && tally.passed > 100, "{}: {tally}", target.name());
}

/// What can be seen from outside, on the build that `ACIP_TARGET` and `ACIP_TRANSPORT` name.
#[test]
fn every_case_that_can_be_seen_from_outside_holds_live() {
    let cases = load(&folder()).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let filter = std::env::var("ACIP_CASE").unwrap_or_default();
    let mut target = Live::start().unwrap_or_else(|error| panic!("{error}"));
    let tally = run_all(&mut target, &cases, &filter);
    println!("{}: {tally}", target.name());
    assert!(tally.failed.is_empty(), "{}: {tally}", target.name());
}

/// The example's own program is the native gateway with its plugin. Other builds have none of their own.
#[test]
fn the_example_plugin_holds_live() {
    if acip_tests::Target::current() != acip_tests::Target::Native {
        return;
    }
    let program = acip_tests::gateway_binary().with_file_name("custom-gateway");
    let mut run = std::process::Command::new(std::env::current_exe().expect("this test"));
    run.args(["every_case_that_can_be_seen_from_outside_holds_live", "--exact", "--nocapture"]);
    run.envs([("ACIP_CASE", "plugins/example"), (EXAMPLE, "1")]).env("ACIP_GATEWAY_BIN", program);
    let output = run.output().expect("starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("2 passed, 0 failed, 0 skipped"), "{told}");
}

#[test]
fn a_case_that_fails_says_what_was_expected_and_what_is() {
    let text = r#"
        about = "x"
        [[step]]
        request = "GET /api/v1/models"
        headers = { x-api-key = "alice-key-01" }
        origin = { json = { a = 1 } }
        [step.expect]
        status = 201
        headers = { via = "1.1 other", x-request-id = false }
        json = { a = 2, b = 3 }
        cache = "HIT"
        asks = 0
        events = ["gateway:cache:hit"]
        writes = [{ op = "set", key = "k" }]
        store = { k = true }
        sent = { request = "GET /other", headers = { x-api-key = false } }
        origins = ["b"]
    "#;
    let cases = acip_corpus::load::read("wrong.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let tally = run_all(&mut InProcess::new(Memory::default()), &cases, "");
    let told = tally.to_string();
    let lines = [
        "FAILED wrong.toml",
        "status: expected 201, is 200",
        "header `via`: expected \"1.1 other\", is \"1.1 acip\"",
        "header `x-request-id` is there: expected false, is true",
        "body.a: expected Number(2), is Number(1)",
        "body.b: expected 3, is not there",
        "cache: expected \"HIT\", is \"MISS\"",
        "commands to the store before the verdict: expected 0, is 1",
        "events: expected `gateway:cache:hit`",
        "writes: expected [\"set k\"], are []",
        "store `k` is there: expected true, is false",
        "sent: expected \"GET /other\", is \"GET /api/v1/models\"",
        "sent header `x-api-key` is there: expected false, is true",
        "origins asked: expected [\"b\"], is [\"a\"]",
        "0 passed, 1 failed, 0 skipped",
    ];
    for line in lines {
        assert!(told.contains(line), "no `{line}` in:\n{told}");
    }
}

#[test]
fn an_origin_that_nobody_announced_may_not_be_asked() {
    let texts = [
        ("step = [{ request = \"GET /health\" }]", "origins asked: expected 0 of them"),
        ("step = [{ request = \"GET /gateway/health\", origin = {} }]", "origins asked: expected 1 of them"),
    ];
    for (text, expected) in texts {
        let text = format!("about = \"x\"\n{text}");
        let cases = acip_corpus::load::read("wrong.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let told = run_all(&mut InProcess::new(Memory::default()), &cases, "").to_string();
        assert!(told.contains(expected), "no `{expected}` in:\n{told}");
    }
}
