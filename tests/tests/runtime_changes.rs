//! Configuration that changes while the gateway runs: plugins switched and exchanged, bad changes refused, the history and
//! the way back, a second gateway that follows, requests that go on as if nothing had happened.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use acip_tests::{ADMIN, Answer, Call, Cli, Feature, Gateway, Http, KEY, Stand, supported, wait_for};
use http::Method;
use serde_json::{Value, json};

const ECHO: &str = "/_test/echo";

fn patch(http: &Http, path: &str, body: &Value) -> Call {
    http.call(Method::PATCH, path).bearer(ADMIN).body(body.to_string())
}

async fn change(http: &Http, path: &str, body: &Value) -> Answer {
    let answer = patch(http, path, body).send().await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer
}

/// The version that the answer to a change names.
fn version(answer: &Answer) -> u64 {
    answer.header("etag").trim_matches('"').parse().expect("a version")
}

async fn limit(http: &Http) -> String {
    let answer = http.get(ECHO).key(KEY).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-ratelimit-limit").to_owned()
}

async fn plugin(http: &Http, name: &str) -> Value {
    let answer = http.get(&format!("/gateway/plugins/{name}")).bearer(ADMIN).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_change_counts_from_the_next_request_in_every_gateway() {
    let stand = Stand::start(&[]);
    let other = stand.another(&[]);
    let (here, there) = (stand.http(), other.http());
    assert_eq!((limit(&here).await, limit(&there).await), ("100".into(), "100".into()));

    let mut versions = Vec::new();
    for (number, algorithm) in
        ["token-bucket", "fixed-window", "sliding-log", "sliding-window"].into_iter().enumerate()
    {
        let wanted = 200 + number;
        let body = json!({"implementation": algorithm, "config": {"max_requests": wanted}});
        let answer = change(&here, "/gateway/plugins/rate-limit-plugin", &body).await;
        assert_eq!(answer.json()["implementation"], algorithm);
        versions.push(version(&answer));
        assert_eq!((limit(&there).await, limit(&here).await), (wanted.to_string(), wanted.to_string()));
    }
    assert!(versions.is_sorted_by(|before, after| before < after), "{versions:?}");
    for strategy in ["least-connections", "weighted", "p2c-ewma", "consistent-hash", "region-affinity"] {
        change(&here, "/gateway/plugins/router-plugin", &json!({"implementation": strategy})).await;
        limit(&there).await;
        assert_eq!(plugin(&there, "router-plugin").await["implementation"], strategy);
    }

    let off = json!({"enabled": false});
    change(&there, "/gateway/plugins/rate-limit-plugin", &off).await;
    assert_eq!((limit(&here).await, limit(&there).await), (String::new(), String::new()));
    assert_eq!(plugin(&here, "rate-limit-plugin").await["status"], "loaded");
    change(&there, "/gateway/plugins/rate-limit-plugin", &json!({"enabled": true})).await;
    assert_eq!(limit(&here).await, "203");

    let history = here.get("/gateway/config/history").bearer(ADMIN).send().await.json();
    assert_eq!(history["history"][0]["changed"], json!(["plugins.rate-limit-plugin.enabled"]));
    assert_eq!(history["history"][0]["by"], "ADMIN_TOKEN");
    let back =
        here.post("/gateway/config/rollback", &json!({"version": versions[0]})).bearer(ADMIN).send().await;
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!((limit(&there).await, limit(&here).await), ("200".into(), "200".into()));
    let all = here.post("/gateway/config/rollback", &json!({"version": 0})).bearer(ADMIN).send().await;
    assert_eq!(all.status, 200, "{}", all.text());
    assert_eq!((limit(&there).await, limit(&here).await), ("100".into(), "100".into()));
}

#[tokio::test]
async fn each_plugin_can_be_switched_off_and_on() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    let page = http.get("/gateway/plugins").bearer(ADMIN).send().await.json();
    for name in page["plugins"].as_array().expect("plugins").iter().filter_map(|it| it["name"].as_str()) {
        let path = format!("/gateway/plugins/{name}");
        change(&http, &path, &json!({"enabled": false})).await;
        assert_eq!(http.get(ECHO).key(KEY).send().await.status, 200, "without {name}");
        assert_eq!(http.get("/gateway/health").send().await.status, 200, "without {name}");
        change(&http, &path, &json!({"enabled": true})).await;
        assert_eq!(http.get(ECHO).key(KEY).send().await.status, 200, "with {name} again");
    }
    // A request without a credential is settled without the store, and follows all the same.
    let keyless = || async { http.get(ECHO).send().await.status };
    assert_eq!(keyless().await, 401);
    change(&http, "/gateway/plugins/auth-plugin", &json!({"enabled": false})).await;
    wait_for("the door opens", || async { keyless().await == 200 }).await;
    assert_eq!(http.get("/gateway/config").send().await.status, 401, "the gateway's own pages stay closed");
    change(&http, "/gateway/plugins/auth-plugin", &json!({"enabled": null})).await;
    wait_for("the door closes", || async { keyless().await == 401 }).await;
}

#[tokio::test]
async fn what_is_bad_is_refused_or_passed_over_and_traffic_goes_on() {
    let stand = Stand::start(&[]);
    let http = stand.http();
    for (path, body, status, says) in [
        (
            "/gateway/config",
            json!({"cache": {"ttl_seconds": "x"}, "router": {"strategy": "y"}}),
            400,
            "router.strategy",
        ),
        ("/gateway/config", json!({"auth": {"admin_token": "hunter2"}}), 400, "a secret is not kept"),
        ("/gateway/config", json!({"server": {"port": 1}}), 400, "only when a gateway starts"),
        ("/gateway/config", json!({"rules": [{"when": "1 +"}]}), 400, "rules[0].when"),
        ("/gateway/plugins/router-plugin", json!({"implementation": "fastest"}), 400, "one of `round-robin`"),
        ("/gateway/plugins/nothing-plugin", json!({"enabled": true}), 404, "no plugin"),
    ] {
        let answer = patch(&http, path, &body).send().await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert!(answer.text().contains(says), "{path} {body}: {}", answer.text());
    }
    let nobody = http.call(Method::PATCH, "/gateway/config").body("{}").send().await;
    assert_eq!(nobody.status, 401);
    let body = "x".repeat(70_000);
    let answer = http.call(Method::PATCH, "/gateway/config").bearer(ADMIN).body(body).send().await;
    assert_eq!(answer.status, 413);

    let first = json!({"rate_limit": {"max_requests": 77}});
    let tagged = |tag: &str, body: &Value| patch(&http, "/gateway/config", body).header("if-match", tag);
    let tag = http.get("/gateway/config").bearer(ADMIN).send().await.header("etag").to_owned();
    assert_eq!(tag, "\"0\"");
    let made = tagged(&tag, &first).send().await;
    assert_eq!(made.status, 200, "{}", made.text());
    let lost = tagged(&tag, &json!({"rate_limit": {"max_requests": 5}})).send().await;
    assert_eq!(
        (lost.status.as_u16(), lost.code().as_str(), lost.header("etag")),
        (412, "PRECONDITION_FAILED", made.header("etag"))
    );
    assert_eq!(limit(&http).await, "77");

    // A process that never saw the good one has nothing but its variables to stay with.
    let one_memory = supported(&[Feature::SharedMemory]);
    let stays: &[&str] = if one_memory { &["77"] } else { &["77", "100"] };
    for bad in BAD {
        stand.redis().cli(&["SET", "gateway:config", bad]);
        for _ in 0..2 {
            let limit = limit(&http).await;
            assert!(stays.contains(&limit.as_str()), "{bad}: {limit}");
        }
    }
    if supported(&[Feature::Process]) {
        let log = stand.gateway.log();
        assert_eq!(
            log.matches("stored configuration version 9 is bad; the old one stays").count(),
            1,
            "{log}"
        );
        assert!(log.contains("router.strategy"), "{log}");
    }
    stand.redis().cli(&["DEL", "gateway:config"]);
    // A process among several may have been asked nothing in between; it does not take the next for what it knows.
    if one_memory {
        assert_eq!(
            limit(&http).await,
            "100",
            "every change is taken back, also after one that nobody could read"
        );
    }
    change(&http, "/gateway/config", &json!({"rate_limit": {"max_requests": 78}})).await;
    assert_eq!(limit(&http).await, "78");
}

#[tokio::test]
async fn a_process_follows_without_requests_and_keeps_changes_over_a_reload() {
    if !supported(&[Feature::Process, Feature::Resp]) {
        return;
    }
    let stand = Stand::with_file(&[], Some("[rate_limit]\nmax_requests = 50\n"));
    let http = stand.http();
    let text = "{\"version\":3,\"at\":1,\"by\":\"cli\",\"overlay\":{\"cache\":{\"ttl_seconds\":5}}}";
    stand.redis().cli(&["SET", "gateway:config", text]);
    wait_for("it follows", || async {
        stand.gateway.log().contains("stored configuration version 3 is in force")
    })
    .await;
    stand.gateway.rewrite("[rate_limit]\nmax_requests = 60\n");
    stand.gateway.signal("HUP");
    wait_for("it reloads", || async { stand.gateway.log().contains("configuration reloaded") }).await;
    let config = http.get("/gateway/config").bearer(ADMIN).send().await;
    assert_eq!(config.header("etag"), "\"3\"");
    let config = config.json();
    assert_eq!(
        (&config["rate_limit"]["max_requests"], &config["cache"]["ttl_seconds"]),
        (&json!(60), &json!(5))
    );
}

#[tokio::test]
async fn a_reload_lays_the_newest_changes_that_fit_over_the_file() {
    if !supported(&[Feature::Process, Feature::Resp]) {
        return;
    }
    let stand = Stand::with_file(&[], Some("[rate_limit]\nmax_requests = 50\n"));
    let http = stand.http();
    let says = async |words: &str| {
        wait_for(words, || async { stand.gateway.log().contains(words) }).await;
    };
    let store = |version: u64, overlay: &str| {
        let text = format!("{{\"version\":{version},\"at\":1,\"by\":\"cli\",\"overlay\":{overlay}}}");
        stand.redis().cli(&["SET", "gateway:config", &text]);
    };
    let reload = async |file: &str, times: usize| {
        stand.gateway.rewrite(file);
        stand.gateway.signal("HUP");
        let reloaded = || stand.gateway.log().matches("configuration reloaded").count();
        wait_for("it reloads", || async { reloaded() == times }).await;
    };
    let limits = async || {
        let config = http.get("/gateway/config").bearer(ADMIN).send().await.json();
        (config["rate_limit"]["max_requests"].clone(), config["cache"]["ttl_seconds"].clone())
    };

    // Nothing is in force, and what is stored names what the file does not have yet.
    store(3, r#"{"cache":{"ttl_seconds":5},"rules":[{"when":"false","limit":{"name":"heavy"}}]}"#);
    says("stored configuration version 3 is bad").await;
    reload("[rate_limit]\nmax_requests = 60\n", 1).await;
    assert_eq!(limits().await, (json!(60), json!(60)));
    let named = "[[limits]]\nname = 'heavy'\nby = 'key'\nlimit = 1\nwindow_ms = 1000\n";
    reload(&format!("[rate_limit]\nmax_requests = 70\n{named}"), 2).await;
    says("stored configuration version 3 is in force").await;
    assert_eq!(limits().await, (json!(70), json!(5)));

    // What was in force stays where the newest is bad, and the file still counts.
    store(4, r#"{"cache":{"ttl_seconds":"soon"}}"#);
    says("stored configuration version 4 is bad").await;
    reload(&format!("[rate_limit]\nmax_requests = 80\n{named}"), 3).await;
    assert_eq!(limits().await, (json!(80), json!(5)));

    // A file under which nothing fits is refused.
    stand.gateway.rewrite("[rate_limit]\nmax_requests = 90\n");
    stand.gateway.signal("HUP");
    says("the new configuration is bad; the old one stays").await;
    assert_eq!(limits().await, (json!(80), json!(5)));
    stand.redis().cli(&["DEL", "gateway:config"]);
    wait_for("all is taken back", || async { limits().await == (json!(80), json!(60)) }).await;
}

#[tokio::test]
async fn one_gateway_without_a_redis_changes_at_once() {
    if !supported(&[Feature::SharedMemory]) {
        return;
    }
    let stand = Stand::embedded(&[]);
    let http = stand.http();
    change(&http, "/gateway/plugins/rate-limit-plugin", &json!({"config": {"max_requests": 33}})).await;
    assert_eq!(limit(&http).await, "33");
}

#[tokio::test]
async fn the_command_line_does_the_same() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let stand = Stand::start(&[]);
    let (http, url) = (stand.http(), stand.redis().url());
    let run = |arguments: &[&str]| Cli::new(arguments).env(&[("REDIS_URL", url.as_str())]).run();
    let done = |arguments: &[&str]| {
        let ended = run(arguments);
        assert!(ended.is_well(), "{arguments:?}: {ended:?}");
        ended.stdout
    };
    let name = "rate-limit-plugin";
    let said = done(&[
        "plugins",
        "set",
        name,
        "--implementation",
        "token-bucket",
        "--settings",
        "{\"max_requests\":21}",
    ]);
    let rest = said.strip_prefix("version ").and_then(|said| said.split_once(": "));
    let (first, paths) = rest.expect(&said);
    assert_eq!(paths, "rate_limit.algorithm, rate_limit.max_requests\n");
    let after = |said: &str, before: &str| {
        let rest = said.strip_prefix("version ").and_then(|said| said.split_once(": "));
        let (version, paths) = rest.expect(said);
        let number = |version: &str| version.parse::<u64>().expect(said);
        assert!(number(version) > number(before), "{said}");
        assert_eq!(paths, "plugins.rate-limit-plugin.enabled\n");
        version.to_owned()
    };
    assert_eq!(limit(&http).await, "21");
    let second = after(&done(&["plugins", "disable", name]), first);
    assert_eq!(limit(&http).await, "");
    assert!(done(&["plugins", "list"]).contains("rate-limit-plugin        loaded         90  token-bucket"));
    let nothing = format!("nothing to change; version {second} is in force\n");
    assert_eq!(done(&["plugins", "disable", name]), nothing);
    let third = after(&done(&["plugins", "enable", name]), &second);
    assert_eq!(limit(&http).await, "21");
    let shown: Value = serde_json::from_str(&done(&["plugins", "show", name])).expect("JSON");
    assert_eq!((&shown["status"], &shown["implementation"]), (&json!("active"), &json!("token-bucket")));
    let history: Value = serde_json::from_str(&done(&["config", "history"])).expect("JSON");
    assert_eq!((history["version"].to_string(), &history["history"][0]["by"]), (third, &json!("cli")));
    let back = run(&["config", "rollback", "0"]);
    assert!(back.is_well(), "{back:?}");
    let changed =
        json!(["plugins.rate-limit-plugin.enabled", "rate_limit.algorithm", "rate_limit.max_requests"]);
    assert_eq!(back.audits(), [format!(r#""cli" "config.rollback" ["0"] {changed}"#)]);
    assert_eq!(limit(&http).await, "100");
    for (arguments, says) in [
        (&["plugins", "set", "router-plugin", "--implementation", "fastest"][..], "router.strategy"),
        (&["plugins", "set", "router-plugin"], "nothing to set"),
        (&["plugins", "enable", "other-plugin"], "no plugin is called `other-plugin`"),
        (&["config", "rollback", "77"], "version 77 is not kept"),
    ] {
        let ended = run(arguments);
        assert!(ended.code == Some(2) && ended.stderr.contains(says), "{arguments:?}: {ended:?}");
    }
}

/// Requests all the time, while everything is changed: none fails, and each change is there for the request after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_while_everything_changes() {
    let stand = Stand::start(&[("RATE_LIMIT_MAX_REQUESTS", "1000000")]);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(ask(stand.http(), Arc::clone(&over)))).collect();
    let http = stand.http();
    let algorithms = ["token-bucket", "fixed-window", "sliding-window"];
    let strategies = ["least-connections", "round-robin", "p2c-ewma"];
    for round in 0..ROUNDS {
        let limit_is = 1_000_001 + round;
        let body = json!({"implementation": algorithms[round % 3], "config": {"max_requests": limit_is}});
        change(&http, "/gateway/plugins/rate-limit-plugin", &body).await;
        assert_eq!(limit(&http).await, limit_is.to_string());
        let body = json!({"implementation": strategies[round % 3]});
        change(&http, "/gateway/plugins/router-plugin", &body).await;
        for name in ["cache-plugin", "metrics-plugin", "job-tracker-plugin", "cors-plugin"] {
            change(&http, &format!("/gateway/plugins/{name}"), &json!({"enabled": round % 2 == 1})).await;
        }
    }
    over.store(true, Relaxed);
    let mut sent = 0;
    for client in clients {
        sent += client.await.expect("no request failed");
    }
    assert!(sent > ROUNDS, "{sent} requests went by");
}

async fn ask(http: Http, over: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !over.load(Relaxed) {
        let good = http.get(ECHO).key(KEY).send().await;
        assert_eq!(good.status, 200, "{}", good.text());
        let bad = http.get(ECHO).key("wrong").send().await;
        assert!([401, 429].contains(&bad.status.as_u16()), "{}", bad.text());
        sent += 2;
    }
    sent
}

const ROUNDS: usize = 12;

#[tokio::test]
async fn a_third_gateway_starts_with_what_was_changed() {
    let stand = Stand::start(&[]);
    change(&stand.http(), "/gateway/config", &json!({"rate_limit": {"max_requests": 44}})).await;
    let late: Gateway = stand.another(&[]);
    assert_eq!(limit(&late.http()).await, "44");
}

/// What somebody may have written into the store.
const BAD: [&str; 3] =
    ["{\"version\":9,\"overlay\":{\"router\":{\"strategy\":\"y\"}}}", "{\"version\":10,", "nonsense"];
