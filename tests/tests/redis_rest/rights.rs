//! Tokens, and what each opens.

use acip_tests::{Bridge, Cli, Redis};
use http::Method;
use serde_json::json;

use super::{Stand, check, error, native};

#[tokio::test]
async fn without_the_token_nothing_opens() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let token = Bridge::TOKEN;
    let http = stand.bridge.http();
    for path in
        ["/", "/get/k", "/pipeline", "/subscribe/c", "/nothing", "/get/k?_token=", "/get/k?_token=wrong"]
    {
        let answer = http.call(Method::POST, path).send().await;
        assert_eq!(error(&answer, 401), "WRONGPASS invalid or missing auth token", "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for value in
        ["Bearer", "Bearer ", "Bearer wrong", token, &format!("Basic {token}"), &format!("Bearer {token}x")]
    {
        let answer = http.get(&format!("/get/k?_token={token}")).header("authorization", value).send().await;
        assert_eq!(answer.status, 401, "{value}");
    }
    for value in [format!("Bearer {token}"), format!("bearer  {token}")] {
        let answer = http.get("/get/k?_token=wrong").header("authorization", value).send().await;
        check(&answer, 200, &json!({"result": null}));
    }
    check(&http.get(&format!("/set/k/v?_token={token}&EX=9")).send().await, 200, &json!({"result": "OK"}));
    assert_eq!(stand.redis.cli(&["TTL", "k"]), "9");
    assert!(!stand.bridge.log().contains(token), "the token is in the log");
}

#[tokio::test]
async fn the_second_token_only_reads() {
    if !native() {
        return;
    }
    let stand = Stand::with(&["--readonly-token", "reader"]);
    stand.redis.cli(&["SET", "k", "v"]);
    let ask = async |words: &str| {
        let path = format!("/{}?_token=reader", words.replace(' ', "/"));
        let answer = stand.bridge.http().get(&path).send().await;
        (answer.status.as_u16(), answer.json())
    };
    for (words, result) in [
        ("get k", json!("v")),
        ("MGET k none", json!(["v", null])),
        ("ttl k", json!(-1)),
        ("object encoding k", json!("embstr")),
        ("eval_ro return%201 0", json!(1)),
        ("ping", json!("PONG")),
        ("scan 0", json!(["0", ["k"]])),
    ] {
        assert_eq!(ask(words).await, (200, json!({"result": result})), "{words}");
        assert_eq!(ask(words).await.0, 200, "a second time: {words}");
    }
    for words in [
        "set k w",
        "SET k w",
        "eval return%201 0",
        "incr k",
        "sort k STORE x",
        "publish c m",
        "nosuch",
        "script load x",
        "getdel k",
        "monitor",
    ] {
        let (status, body) = ask(words).await;
        assert_eq!(status, 400, "{words}: {body}");
        let name = words.split(' ').next().expect("a word").to_lowercase();
        let expected = format!("NOPERM this user has no permissions to run the '{name}' command");
        assert!(body["error"].as_str().expect("an error").starts_with(&expected), "{words}: {body}");
    }
    assert_eq!(ask("keys *").await.0, 400);
    let call = stand.bridge.http().call(Method::POST, "/pipeline").bearer("reader");
    let results = call.body(r#"[["GET","k"],["SET","k","w"]]"#).send().await.json();
    assert_eq!(results[0], json!({"result": "v"}));
    assert!(results[1]["error"].as_str().is_some_and(|error| error.starts_with("NOPERM")), "{results}");
    assert_eq!(stand.redis.cli(&["GET", "k"]), "v");
}

#[tokio::test]
async fn dangerous_commands_are_off_until_allowed() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    stand.redis.cli(&["SET", "k", "v"]);
    for words in [
        "flushall",
        "FLUSHDB",
        "config/get/*",
        "SHUTDOWN",
        "debug/sleep/0",
        "keys/*",
        "slaveof/no/one",
        "REPLICAOF/no/one",
        "module/list",
        "acl/list",
        "client/kill/x",
        "client/list",
        "script/flush",
        "function/flush",
        "save",
        "bgsave",
        "swapdb/0/1",
        "migrate/x",
        "restore/x",
        "cluster/info",
        "failover",
        "latency/reset",
        "slowlog/get",
        "monitor",
    ] {
        assert!(error(&stand.get(&format!("/{words}")).await, 400).starts_with("NOPERM `"), "{words}");
    }
    for words in [
        "select/1",
        "auth/x",
        "MULTI",
        "exec",
        "watch/k",
        "reset",
        "quit",
        "hello/3",
        "client/reply/off",
        "client/tracking/on",
        "client/setname/x",
        "psync/x",
        "readonly",
        "script/debug/yes",
    ] {
        assert!(error(&stand.get(&format!("/{words}")).await, 400).starts_with("ERR `"), "{words}");
    }
    for command in [r#"["SUBSCRIBE","c"]"#, r#"["MONITOR"]"#] {
        assert!(error(&stand.post("/", command).await, 400).contains("ask for /"), "{command}");
    }
    check(&stand.get("/get/k").await, 200, &json!({"result": "v"}));

    let open = Stand::with(&["--allow", "keys,SCRIPT|FLUSH"]);
    check(&open.get("/keys/*").await, 200, &json!({"result": []}));
    check(&open.get("/script/flush").await, 200, &json!({"result": "OK"}));
    error(&open.get("/flushall").await, 400);
}

#[test]
fn a_bad_command_line_is_refused() {
    if !native() {
        return;
    }
    let redis = Redis::start();
    let url = redis.url();
    let check = |arguments: &[&str], token: Option<&str>, expected: &str| {
        let listen = ["redis-rest", "--listen", "127.0.0.1:0"];
        let mut cli = Cli::new(&[&listen, arguments].concat());
        if let Some(token) = token {
            cli = cli.env(&[("SRH_TOKEN", token)]);
        }
        let ended = cli.run();
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    };
    check(&["--redis", &url], None, "--token");
    check(&["--redis", &url], Some(""), "the token is empty; set SRH_TOKEN");
    check(&[], Some("secret"), "--redis");
    check(&["--redis", "mysql://u:secret@h"], Some("secret"), "a URL that begins with `redis://`");
    check(&["--redis", "https://secret@h"], Some("secret"), "--redis: a REST endpoint needs no bridge");
    check(&["--redis", &url, "--allow", "GET"], Some("secret"), "`GET` cannot be allowed; these can: ACL,");
    check(&["--redis", &url, "--tls-cert", "/none"], Some("secret"), "`TLS_CERT` and `TLS_KEY` go together");
}
