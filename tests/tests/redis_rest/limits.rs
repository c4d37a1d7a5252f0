//! Sizes, writes, connections; what blocks, blocks nobody else.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use acip_tests::{Bridge, Redis, RedisProxy, raw, wait_for};
use http::Method;
use serde_json::json;

use super::{PATIENT, Stand, check, error, native};

#[tokio::test]
async fn a_request_is_one_write_to_redis() {
    if !native() {
        return;
    }
    let redis = Redis::start();
    let proxy = RedisProxy::start(&redis);
    let bridge = Bridge::with(&proxy.url(), &[&PATIENT[..], &["--threads", "1"]].concat());
    let post = async |path: &str, body: String| {
        bridge.http().call(Method::POST, path).bearer(Bridge::TOKEN).body(body).send().await
    };
    let commands: Vec<_> = (0..100).map(|n| json!(["SET", format!("k{n}"), n])).collect();
    let all = json!(commands).to_string();
    for (path, body, commands) in
        [("/", r#"["GET","k"]"#.to_owned(), 1), ("/pipeline", all.clone(), 100), ("/multi-exec", all, 102)]
    {
        let before = (proxy.pieces(), proxy.total());
        let answer = post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((proxy.pieces() - before.0, proxy.total() - before.1), (1, commands), "{path}");
    }
    assert_eq!(redis.cli(&["DBSIZE"]), "100");
}

#[tokio::test]
async fn bodies_and_answers_have_a_limit() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let large = vec![b'x'; 64 << 20];
    let answer = stand.send(Method::POST, "/set/k", &[], &large).await;
    assert!(error(&answer, 413).contains("longer than 10485760 bytes"), "{}", answer.text());
    let fits = vec![b'x'; 10 << 20];
    check(&stand.send(Method::POST, "/set/k", &[], &fits).await, 200, &json!({"result": "OK"}));
    assert_eq!(stand.get("/get/k").await.json()["result"].as_str().map(str::len), Some(10 << 20));

    let small = Stand::with(&["--max-body-bytes", "1000", "--max-reply-bytes", "1000"]);
    error(&small.send(Method::POST, "/set/k", &[], &[b'x'; 1001]).await, 413);
    let chunked = format!(
        "POST /set/k HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        Bridge::TOKEN,
        "x".repeat(1001)
    );
    assert!(raw(small.bridge.port(), chunked.as_bytes()).starts_with("HTTP/1.1 413"), "chunked");
    small.redis.cli(&["SET", "large", &"x".repeat(2000)]);
    assert!(error(&small.get("/get/large").await, 400).contains("longer than 1000 bytes"));
    let results = small.post("/pipeline", r#"[["GET","large"],["STRLEN","large"]]"#).await.json();
    assert!(results[0]["error"].is_string(), "{results}");
    assert_eq!(results[1], json!({"result": 2000}));
}

#[tokio::test]
async fn what_blocks_blocks_nobody_else() {
    if !native() {
        return;
    }
    // One thread, one connection: what would block would block all.
    let stand = Stand::with(&["--threads", "1"]);
    let popped = tokio::spawn(stand.bridge.http().get("/blpop/queue/0").bearer(Bridge::TOKEN).send());
    let piped = stand.bridge.http().call(Method::POST, "/pipeline").bearer(Bridge::TOKEN);
    let piped = tokio::spawn(piped.body(r#"[["SET","first",1],["BRPOP","other",0],["GET","first"]]"#).send());
    stand.blocked(2).await;
    check(&stand.get("/get/none").await, 200, &json!({"result": null}));
    check(&stand.get("/rpush/queue/a").await, 200, &json!({"result": 1}));
    check(&stand.get("/rpush/other/b").await, 200, &json!({"result": 1}));
    check(&popped.await.expect("no panic"), 200, &json!({"result": ["queue", "a"]}));
    let expected = json!([{"result": "OK"}, {"result": ["other", "b"]}, {"result": "1"}]);
    check(&piped.await.expect("no panic"), 200, &expected);

    let mut leaves = stand.bridge.http().connect().await;
    let request = stand.bridge.http().get("/xread/BLOCK/0/STREAMS/s/0").bearer(Bridge::TOKEN).request();
    let waits = tokio::spawn(async move { leaves.send_request(request).await.is_ok() });
    stand.blocked(1).await;
    waits.abort();
    // Its connection ends with its client's.
    stand.blocked(0).await;
}

#[tokio::test]
async fn connections_have_a_limit_and_wait_for_a_place() {
    if !native() {
        return;
    }
    let stand = Stand::with(&["--max-connections", "2", "--threads", "1"]);
    let request = format!("GET /ping?_token={} HTTP/1.1\r\nhost: a\r\n\r\n", Bridge::TOKEN);
    let connect = || TcpStream::connect(("127.0.0.1", stand.bridge.port())).expect("the kernel accepts");
    let (first, second) = (connect(), connect());
    for mut socket in [&first, &second] {
        socket.write_all(request.as_bytes()).expect("writes");
        let mut head = [0; 12];
        socket.read_exact(&mut head).expect("answers");
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    let waits = stand.bridge.http().get("/ping").bearer(Bridge::TOKEN).send();
    let waits = tokio::spawn(waits);
    drop(first);
    check(&waits.await.expect("no panic"), 200, &json!({"result": "PONG"}));
    drop(second);
}

#[tokio::test]
async fn many_at_once_are_answered_each_its_own() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let calls = (0..500).map(|n| {
        let call = stand.bridge.http().call(Method::POST, "/").bearer(Bridge::TOKEN);
        call.body(json!(["ECHO", n]).to_string()).send()
    });
    let answers = futures_util::future::join_all(calls).await;
    for (n, answer) in answers.iter().enumerate() {
        check(answer, 200, &json!({"result": n.to_string()}));
    }
    wait_for("the bridge still answers", || async { stand.get("/ping").await.status == 200 }).await;
}
