//! What only the Lambda build has: processes that are frozen between requests, secrets from the Parameter Store, a limit of the
//! platform's; [`events`] is about its callers.

mod events;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::mpsc,
    thread,
    time::Duration,
};

use acip_tests::{Gateway, KEY, Origin, Redis, RedisProxy, Stand, Target, Transport, wait_for};
use http_body_util::BodyExt as _;
use serde_json::json;

fn is_lambda() -> bool {
    let is = Target::current() == Target::Lambda;
    if !is {
        println!("skipped: it is about ACIP_TARGET=lambda");
    }
    is
}

#[tokio::test]
async fn a_request_past_the_platforms_limit_hears_why() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[]);
    let call = stand.http().call(http::Method::POST, "/_test/upload").key(KEY);
    let answer = call.body(vec![b'x'; (6 << 20) + 1]).send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert!(answer.text().contains("AWS Lambda takes at most 6291456"), "{}", answer.text());
    assert!(stand.reached("/_test/upload").await.is_empty());
    let call = stand.http().call(http::Method::POST, "/_test/upload").key(KEY);
    assert_eq!(call.body(vec![b'x'; 6 << 20]).send().await.json()["bytes"], 6 << 20);
}

#[tokio::test]
async fn a_stream_begins_before_the_origin_has_finished() {
    if !is_lambda() {
        return;
    }
    let stand = Stand::start(&[]);
    let mut answer = stand.get("/_test/sse?n=1000&ms=1000").key(KEY).stream().await.expect("a head");
    let first = answer.frame().await.expect("a frame").expect("data").into_data().expect("data");
    assert!(!first.is_empty());
    drop(answer);
    let path = "/_test/cancelled?path=/_test/sse";
    let told = || async { stand.origin.http().get(path).send().await.json() != json!([]) };
    wait_for("the origin's request to end with its client", told).await;
}

/// The process is stopped as soon as it asks for the next event: what was not done by then is never done.
#[tokio::test]
async fn the_epilogue_is_done_before_a_process_may_freeze() {
    if !is_lambda() {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let proxy = RedisProxy::start(&redis);
    let store = if Transport::current() == Transport::Rest { redis.url() } else { proxy.url() };
    let environment =
        [("REDIS_URL", store.as_str()), ("ACIP_LAMBDA_PROCESSES", "1"), ("ACIP_LAMBDA_FREEZE", "1")];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let began = std::time::Instant::now();
    for number in 0..5 {
        let path = format!("/_test/cache?cc=max-age=600&key=k{number}");
        let answer = gateway.http().get(&path).key(KEY).send().await;
        assert_eq!(answer.header("x-gateway-cache"), "MISS");
        let kept = || async { redis.keys("gateway:cache:*").len() > number };
        wait_for("what is to be cached to be in Redis, with nothing asked since", kept).await;
    }
    println!("five requests with freezes: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_died_in_a_freeze_is_not_used() {
    if !is_lambda() {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let url = redis.url();
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("ON_STORE_ERROR", "deny"),
        ("ACIP_LAMBDA_PROCESSES", "1"),
        ("ACIP_LAMBDA_FREEZE", "1"),
    ];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    for _ in 0..3 {
        let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.log());
        // The connections die while the process stands still, which has to last for it to be suspicious.
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

#[tokio::test]
async fn a_bad_configuration_is_told_to_the_operator_alone() {
    if !is_lambda() {
        return;
    }
    let parameter = [("ADMIN_TOKEN", "ssm:/gateway/admin"), ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "1")];
    let gateway = Gateway::misconfigured(&[], &parameter);
    let answer = gateway.http().get("/gateway/health").send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "INTERNAL_ERROR"));
    assert!(!answer.text().contains("/gateway/admin"), "{}", answer.text());
    let log = gateway.log();
    assert!(log.contains("ADMIN_TOKEN: `/gateway/admin` cannot be read from the Parameter Store"), "{log}");
}

/// Stands in for the extension that reads the Parameter Store; gives its port, and the heads of requests to it.
fn extension(value: &'static str) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut head = String::new();
            let mut reader = BufReader::new(socket.try_clone().expect("a socket"));
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let body = json!({ "Parameter": { "Name": "/gateway/admin", "Value": value } }).to_string();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            let _ = socket.write_all(answer.as_bytes());
            let _ = sender.send(head);
        }
    });
    (port, heads)
}

#[tokio::test]
async fn a_secret_is_read_from_the_parameter_store() {
    if !is_lambda() {
        return;
    }
    let (port, heads) = extension("from-the-store-0123456789");
    let (port, origin) = (port.to_string(), Origin::start());
    let environment = [
        ("ADMIN_TOKEN", "ssm:/gateway/admin"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", port.as_str()),
        ("AWS_SESSION_TOKEN", "a session"),
    ];
    let gateway = Gateway::start(&[&origin.url()], &environment);
    let head = heads.recv_timeout(Duration::from_secs(30)).expect("a question").to_ascii_lowercase();
    let path = "/systemsmanager/parameters/get?name=%2fgateway%2fadmin&withdecryption=true";
    assert!(head.starts_with(&format!("get {path} http/1.1\r\n")), "{head}");
    assert!(head.contains("\r\nx-aws-parameters-secrets-token: a session\r\n"), "{head}");
    let ask = |token: &str| gateway.http().get("/gateway/config").bearer(token).send();
    assert_eq!(ask("from-the-store-0123456789").await.status, 200);
    assert_eq!(ask("ssm:/gateway/admin").await.status, 401, "the name is not the secret");
}
