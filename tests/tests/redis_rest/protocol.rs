//! Forms of requests, replies, errors.

use http::Method;
use serde_json::json;

use super::{Stand, check, error, native};

#[tokio::test]
async fn a_command_is_a_json_array_or_a_path() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    check(&stand.post("/", r#"["SET","k","v"]"#).await, 200, &json!({"result": "OK"}));
    check(&stand.post("/", r#"["get","k"]"#).await, 200, &json!({"result": "v"}));
    check(&stand.get("/get/k").await, 200, &json!({"result": "v"}));
    check(&stand.get("/GET/none").await, 200, &json!({"result": null}));
    check(&stand.get("/set/a%2Fb%20c/%C3%A9+/EX/100").await, 200, &json!({"result": "OK"}));
    assert_eq!(stand.redis.cli(&["GET", "a/b c"]), "é+");
    assert_eq!(stand.redis.cli(&["TTL", "a/b c"]), "100");
    check(&stand.post("/set/posted?EX=50", "the body").await, 200, &json!({"result": "OK"}));
    assert_eq!(stand.redis.cli(&["GET", "posted"]), "the body");
    assert_eq!(stand.redis.cli(&["TTL", "posted"]), "50");
    check(&stand.get("/set/posted/x?NX").await, 200, &json!({"result": null}));
    check(&stand.post("/incr/counter", "").await, 200, &json!({"result": 1}));
    let put = stand.send(Method::PUT, "/set/put", &[], b"\x00\xff\"[1]").await;
    check(&put, 200, &json!({"result": "OK"}));
    check(&stand.get("/strlen/put").await, 200, &json!({"result": 6}));
    let head = stand.send(Method::HEAD, "/get/k", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn arguments_that_are_no_strings_become_strings() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let body = r#"["RPUSH","l",1,-2.50,1e3,12345678901234567890,true,false,null,"","\u00e9\ud83d\ude00"]"#;
    check(&stand.post("/", body).await, 200, &json!({"result": 9}));
    let expected = json!(["1", "-2.50", "1e3", "12345678901234567890", "true", "false", "null", "", "é😀"]);
    check(&stand.get("/lrange/l/0/-1").await, 200, &json!({"result": expected}));
}

#[tokio::test]
async fn replies_have_the_shapes_that_clients_know() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let base64 = [("Upstash-Encoding", "base64")];
    for (command, plain, encoded) in [
        (r#"["PING"]"#, json!("PONG"), json!("UE9ORw==")),
        (r#"["SET","ok","OK"]"#, json!("OK"), json!("OK")),
        (r#"["GET","ok"]"#, json!("OK"), json!("T0s=")),
        (r#"["DEL","none"]"#, json!(0), json!(0)),
        (r#"["INCRBYFLOAT","f","1.5"]"#, json!("1.5"), json!("Mw==")),
        (r#"["ZADD","z","1.5","m"]"#, json!(1), json!(0)),
        (r#"["ZSCORE","z","m"]"#, json!("1.5"), json!("MS41")),
        (r#"["HSET","h","a","1"]"#, json!(1), json!(0)),
        (r#"["HGETALL","h"]"#, json!(["a", "1"]), json!(["YQ==", "MQ=="])),
        (r#"["GET","none"]"#, json!(null), json!(null)),
        (r#"["LRANGE","none",0,-1]"#, json!([]), json!([])),
        (
            r#"["EVAL","return {1,'a',{2,{'b'}},false}",0]"#,
            json!([1, "a", [2, ["b"]], null]),
            json!([1, "YQ==", [2, ["Yg=="]], null]),
        ),
        (r#"["EVAL","return redis.status_reply('FINE')",0]"#, json!("FINE"), json!("RklORQ==")),
    ] {
        let answer = stand.post("/", command).await;
        assert_eq!(answer.json(), json!({"result": plain}), "{command}");
        let answer = stand.send(Method::POST, "/", &base64, command.as_bytes()).await;
        assert_eq!(answer.json(), json!({"result": encoded}), "{command}");
    }
    stand.send(Method::POST, "/set/bytes", &[], b"\x00\xffa").await;
    check(&stand.get("/get/bytes").await, 200, &json!({"result": "\0\u{fffd}a"}));
    check(&stand.send(Method::GET, "/get/bytes", &base64, b"").await, 200, &json!({"result": "AP9h"}));
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    for (path, body, expected) in [
        ("/", r#"["GET"]"#, "ERR wrong number of arguments for 'get' command"),
        ("/get", "", "ERR wrong number of arguments for 'get' command"),
        ("/", "", "ERR malformed JSON at byte 0: expected an array: the command's name and its arguments"),
        ("/", r#"["GET","#, "ERR malformed JSON at byte 7: it ends too early"),
        ("/", r#"["GET" "k"]"#, "ERR malformed JSON at byte 7: expected `,` or `]`"),
        (
            "/",
            r#"[["GET","k"]]"#,
            "ERR malformed JSON at byte 1: an argument is a string, number, true, false or null",
        ),
        (
            "/",
            r#"{"a":1}"#,
            "ERR malformed JSON at byte 0: expected an array: the command's name and its arguments",
        ),
        ("/", "[]", "ERR empty command; the first word is its name"),
        (
            "/pipeline",
            r#"["GET","k"]"#,
            "ERR malformed JSON at byte 1: expected an array: the command's name and its arguments",
        ),
        ("/pipeline", "[]", "ERR empty pipeline request; send at least one command"),
        ("/multi-exec", "[]", "ERR empty pipeline request; send at least one command"),
    ] {
        assert_eq!(error(&stand.post(path, body).await, 400), expected, "{path} {body}");
    }
    assert!(
        error(&stand.post("/", r#"["NOSUCH","k"]"#).await, 400).starts_with("ERR unknown command 'NOSUCH'")
    );
    stand.post("/", r#"["SET","text","x"]"#).await;
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(error(&stand.get("/lpush/text/x").await, 400), wrong);
    let encoded = stand.send(Method::GET, "/lpush/text/x", &[("Upstash-Encoding", "base64")], b"").await;
    assert_eq!(error(&encoded, 400), wrong);
    let answer = stand.send(Method::DELETE, "/get/k", &[], b"").await;
    assert_eq!(error(&answer, 405), "ERR method DELETE is not supported; use GET, POST or PUT");
    assert_eq!(answer.header("allow"), "GET, HEAD, POST, PUT");
    error(&stand.get("/pipeline").await, 405);
    error(&stand.get("/").await, 400);
}

#[tokio::test]
async fn a_pipeline_answers_each_command_by_itself() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let answer = stand
        .post("/pipeline", r#"[["SET","k",1],["LPUSH","k","x"],["KEYS","*"],["GET"],["INCR","k"],[]]"#)
        .await;
    let results = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(results[0], json!({"result": "OK"}));
    assert_eq!(
        results[1],
        json!({"error": "WRONGTYPE Operation against a key holding the wrong kind of value"})
    );
    assert!(
        results[2]["error"].as_str().expect("an error").starts_with("NOPERM `KEYS` is switched off here"),
        "{results}"
    );
    assert_eq!(results[3], json!({"error": "ERR wrong number of arguments for 'get' command"}));
    assert_eq!(results[4], json!({"result": 2}));
    assert_eq!(results[5], json!({"error": "ERR empty command; the first word is its name"}));
    assert_eq!(results.as_array().map(Vec::len), Some(6));
}

#[tokio::test]
async fn a_transaction_runs_whole_or_not_at_all() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let answer =
        stand.post("/multi-exec", r#"[["SET","k",1],["INCR","k"],["LPUSH","k","x"],["BLPOP","q",0]]"#).await;
    let wrong = json!({"error": "WRONGTYPE Operation against a key holding the wrong kind of value"});
    check(&answer, 200, &json!([{"result": "OK"}, {"result": 2}, wrong, {"result": null}]));
    for (body, expected) in [
        (r#"[["SET","k",9],["GET"]]"#, "Command 2: ERR wrong number of arguments for 'get' command"),
        (r#"[["SET","k",9],["INCR","k"],["EXEC"]]"#, "Command 3: ERR `EXEC` changes a connection"),
        (r#"[["SET","k",9],["FLUSHALL"]]"#, "Command 2: NOPERM `FLUSHALL` is switched off here"),
    ] {
        let text = error(&stand.post("/multi-exec", body).await, 400);
        let begin = "EXECABORT Transaction discarded because of previous errors. ";
        assert!(text.strip_prefix(begin).is_some_and(|rest| rest.starts_with(expected)), "{body}: {text}");
    }
    assert_eq!(stand.redis.cli(&["GET", "k"]), "2");
    check(&stand.get("/get/k").await, 200, &json!({"result": "2"}));
}

#[tokio::test]
async fn scripts_written_for_upstash_run() {
    if !native() {
        return;
    }
    let stand = Stand::start();
    let script = "#!lua flags=allow-key-locking\nreturn redis.call('INCR', KEYS[1])";
    // SHA-1 of these bytes: what a client computes.
    let output = stand.redis.cli(&["EVAL", "return redis.sha1hex(ARGV[1])", "0", script]);
    let evalsha = json!(["EVALSHA", output, 1, "k"]).to_string();
    assert!(error(&stand.post("/", evalsha.clone()).await, 400).starts_with("NOSCRIPT"));
    check(&stand.post("/", json!(["EVAL", script, 1, "k"]).to_string()).await, 200, &json!({"result": 1}));
    check(&stand.post("/", evalsha).await, 200, &json!({"result": 2}));
    check(
        &stand.post("/", json!(["SCRIPT", "EXISTS", output]).to_string()).await,
        200,
        &json!({"result": [1]}),
    );
}
