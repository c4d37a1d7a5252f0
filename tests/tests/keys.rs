//! `acip-gateway keys`: what it prints, what it stores, how it refuses. What a key's record then allows is in
//! `credentials.rs`.

use acip_tests::{Cli, Ended, Feature, Redis, Stand, supported};
use serde_json::{Value, json};

fn keys(redis: &Redis, arguments: &[&str]) -> Ended {
    Cli::new(&[&["keys"], arguments].concat()).env(&[("REDIS_URL", redis.url().as_str())]).run()
}

/// The standard output of a call that succeeds.
fn done(redis: &Redis, arguments: &[&str]) -> String {
    let ended = keys(redis, arguments);
    assert!(ended.is_well(), "{arguments:?}: {ended:?}");
    ended.stdout
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

#[test]
fn a_key_is_shown_once_and_its_record_always() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let redis = Redis::start();
    let created = json(&done(
        &redis,
        &[
            "create",
            "--name",
            "Shop",
            "--tenant",
            "acme",
            "--admin",
            "--expires-in",
            "3600",
            "--limit",
            "burst:5:1000:token-bucket:2",
            "--limit",
            "wide:100:60000",
            "--daily-limit",
            "9",
            "--route",
            "/api/v1/jobs/*",
            "--ip-allow",
            "10.1.2.3",
        ],
    ));
    let (key, id) = (text(&created, "key").to_owned(), text(&created, "id").to_owned());
    assert!(key.starts_with(text(&created, "prefix")) && key.len() > text(&created, "prefix").len() + 16);
    let mut record = created.clone();
    record.as_object_mut().expect("an object").remove("key");
    for (name, value) in [
        ("name", json!("Shop")),
        ("tenant", json!("acme")),
        ("role", json!("admin")),
        ("enabled", json!(true)),
        (
            "limits",
            json!([
                {"name": "burst", "limit": 5, "window_ms": 1000, "algorithm": "token-bucket", "cost": 2},
                {"name": "wide", "limit": 100, "window_ms": 60000},
            ]),
        ),
        ("daily_limit", json!(9)),
        ("routes", json!(["/api/v1/jobs/*"])),
        ("ip_allow", json!(["10.1.2.3/32"])),
    ] {
        assert_eq!(record[name], value, "{name} of {record}");
    }

    let second = json(&done(&redis, &["create", "--name", "plain"]));
    assert_eq!((text(&second, "tenant"), &second["expires_at"]), ("plain", &Value::Null));
    assert_eq!(json(&done(&redis, &["show", &id])), record);
    let listed = json(&done(&redis, &["list", "--json"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    assert_eq!(listed[0], record);
    let table = done(&redis, &["list"]);
    assert!(table.lines().count() == 3 && table.contains(&id) && table.contains("acme"), "{table}");

    // Neither the command line nor the server tells a key again.
    let stored =
        redis.keys("*").iter().map(|name| format!("{name} {}", redis.cli(&["HGETALL", name]))).collect();
    for (what, told) in [("list", table), ("list --json", listed.to_string()), ("the server", stored)] {
        for key in [key.as_str(), text(&second, "key")] {
            let secret = key.rsplit_once('_').map_or(key, |(_, secret)| secret);
            assert!(!told.contains(key) && !told.contains(secret), "{what} tells a key: {told}");
        }
    }
    // The record leaves with its validity.
    let name = redis.keys("gateway:key:*").into_iter().find(|name| redis.cli(&["TTL", name]) != "-1");
    let ttl: u64 = redis.cli(&["TTL", &name.expect("one that expires")]).parse().expect("seconds");
    assert!((3500..=3600).contains(&ttl), "{ttl}");
}

#[test]
fn records_change_by_id() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let redis = Redis::start();
    let create = |name: &str| json(&done(&redis, &["create", "--name", name, "--daily-limit", "3"]));
    let id = text(&create("one"), "id").to_owned();

    let disabled = keys(&redis, &["disable", &id]);
    assert!(disabled.is_well() && disabled.stdout.contains(&id), "{disabled:?}");
    assert_eq!(disabled.audits(), [format!("\"cli\" \"keys.change\" [\"{id}\"] [\"enabled\"]")]);
    assert_eq!(json(&done(&redis, &["show", &id]))["enabled"], json!(false));
    assert!(done(&redis, &["list"]).contains("disabled"));

    let ended = keys(&redis, &["rotate", &id, "--grace-seconds", "60"]);
    let rotated = json(&ended.stdout);
    assert_ne!(text(&rotated, "id"), id);
    let new = text(&rotated, "id");
    assert_eq!(ended.audits(), [format!("\"cli\" \"keys.rotate\" [\"{id}\",\"{new}\"] []")]);
    assert!(!ended.stderr.contains(text(&rotated, "key")), "{ended:?}");
    assert_eq!((text(&rotated, "name"), &rotated["daily_limit"]), ("one", &json!(3)));
    assert!(json(&done(&redis, &["show", &id]))["expires_at"].is_string(), "the old one has its grace");

    let rotated = text(&rotated, "id").to_owned();
    let fresh = json(&done(&redis, &["rotate", &rotated]));
    assert_eq!(keys(&redis, &["show", &rotated]).code, Some(2), "the old one is gone");

    assert!(done(&redis, &["revoke", text(&fresh, "id")]).contains(text(&fresh, "id")));
    let left = json(&done(&redis, &["list", "--json"]));
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
}

/// More keys than one step of a scan gives, among others that are none.
#[tokio::test]
async fn a_list_is_whole_and_holds_only_keys() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let stand = Stand::start(&[]);
    let about = json!({"name": "w", "region": "us-west", "supported_types": ["llm"]});
    let registered = stand.post("/api/v1/workers/register", &about).send().await;
    assert_eq!(registered.status, 200, "{}", registered.text());
    let redis = stand.redis();
    let first = json(&done(redis, &["create", "--name", "first"]));
    let mut names = redis.keys("gateway:key:*").into_iter();
    let name = names.find(|name| redis.cli(&["HGET", name, "id"]) == text(&first, "id")).expect("its record");
    let copies = "for n = 1, 1200 do redis.call('COPY', KEYS[1], 'gateway:key:{' .. n .. '}') end";
    redis.cli(&["EVAL", copies, "1", &name]);
    redis.cli(&["HSET", "another:key:{0}", "id", "stranger"]);
    let listed = json(&done(redis, &["list", "--json"]));
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 1201);
    assert!(listed.iter().all(|record| record["id"] == first["id"]));
}

/// Salt and prefix are the gateway's: a key made with them opens a gateway that has the same.
#[tokio::test]
async fn salt_and_prefix_count() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let settings = [("AUTH_TOKEN_SALT", "pepper"), ("REDIS_KEY_PREFIX", "g[1]*:")];
    let stand = Stand::start(&settings);
    let url = stand.redis().url();
    let create = |variables: &[(&str, &str)]| {
        let cli = Cli::new(&["keys", "create", "--name", "a"]).env(&[("REDIS_URL", url.as_str())]);
        let ended = cli.env(variables).run();
        text(&json(&ended.stdout), "key").to_owned()
    };
    for (variables, status) in
        [(&settings[..], 200), (&settings[..1], 401), (&settings[1..], 401), (&[], 401)]
    {
        let answer = stand.get("/_test/echo").key(&create(variables)).send().await;
        assert_eq!(answer.status, status, "{variables:?}");
    }
    let listed =
        Cli::new(&["keys", "list", "--json"]).env(&settings).env(&[("REDIS_URL", url.as_str())]).run();
    assert_eq!(
        json(&listed.stdout).as_array().map(Vec::len),
        Some(2),
        "that of the other salt stands here too"
    );
}

#[test]
fn without_a_store_there_are_no_keys() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for (url, code, says) in [
        (None, 2, "REDIS_URL"),
        (Some("http://127.0.0.1:1"), 1, "cannot reach Redis"),
        (Some("redis://127.0.0.1:1"), 1, "cannot reach Redis"),
    ] {
        for arguments in [&["list"][..], &["create", "--name", "a"], &["revoke", "x"]] {
            let cli = Cli::new(&[&["keys"], arguments].concat());
            let token = url.filter(|url| url.starts_with("http")).map(|_| ("REDIS_REST_TOKEN", "t"));
            let variables: Vec<_> = url.map(|url| ("REDIS_URL", url)).into_iter().chain(token).collect();
            let ended = cli.env(&variables).run();
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (Some(code), ""),
                "{arguments:?} at {url:?}: {ended:?}"
            );
            assert!(ended.stderr.contains(says), "{arguments:?} at {url:?}: {ended:?}");
        }
    }
    let redis = Redis::start();
    for verb in ["show", "rotate", "disable", "revoke"] {
        let ended = keys(&redis, &[verb, "nobody"]);
        assert_eq!(ended.code, Some(2), "{verb}: {ended:?}");
        assert!(ended.stderr.contains("`nobody`") && ended.stderr.contains("keys list"), "{verb}: {ended:?}");
    }
}
