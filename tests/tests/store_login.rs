//! A store that wants to be logged in to: its password and its database, in the URL or apart from it, over TCP and over TLS.

use std::net::TcpListener;

use acip_tests::{Feature, Gateway, KEY, Origin, Redis, Target, supported, wait_for};

use crate::tls::Authority;

/// With all that a URL may not hold as it is.
const PASSWORD: &str = "p@ss/w:rd%2B?";
const ENCODED: &str = "p%40ss%2Fw%3Ard%252B%3F";

/// Asks through a gateway that answers 503 where the store does not let it in; then the count stands in this database alone.
async fn check(redis: &Redis, origin: &Origin, variables: &[(&str, &str)]) {
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    let deny = [("ON_STORE_ERROR", "deny"), ("REDIS_TIMEOUT", "5000"), ("METRICS_ENABLED", "false")];
    let gateway = Gateway::start(&[&origin.url()], &[&deny, variables].concat());
    let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!(answer.status, 200, "{variables:?}: {}\n{}", answer.text(), gateway.log());
    let counts = |db: &str| redis.cli(&["-n", db, "KEYS", "gateway:ratelimit:*"]);
    assert_ne!(counts("3"), "", "{variables:?}");
    assert_eq!(redis.cli(&["-n", "0", "DBSIZE"]), "0", "{variables:?}");
}

#[tokio::test]
async fn a_password_and_a_database_are_said_to_the_server() {
    if !supported(&[Feature::Resp]) {
        return;
    }
    let (redis, origin) = (Redis::with(&["--requirepass", PASSWORD]), Origin::start());
    let at = |user: &str, path: &str| format!("redis://{user}127.0.0.1:{}{path}", redis.port());
    let (plain, whole) = (at("", ""), at(&format!(":{ENCODED}@"), "/3"));
    let (named, user) = (at(&format!("default:{ENCODED}@"), ""), at("default@", "/3"));
    let (password, db) = (("REDIS_PASSWORD", PASSWORD), ("REDIS_DB", "3"));
    check(&redis, &origin, &[("REDIS_URL", &plain), password, db]).await;
    check(&redis, &origin, &[("REDIS_URL", &whole)]).await;
    check(&redis, &origin, &[("REDIS_URL", &named), db]).await;
    check(&redis, &origin, &[("REDIS_URL", &user), password]).await;
}

#[tokio::test]
async fn over_tls_too() {
    if !supported(&[Feature::Resp]) {
        return;
    }
    // Whom the platform trusts, or the program.
    let trusted = match Target::current() {
        Target::Native | Target::Lambda => "SSL_CERT_FILE",
        Target::Worker => "NODE_EXTRA_CA_CERTS",
        Target::Spin => {
            println!("skipped on spin: the host of the tests has no TLS");
            return;
        }
    };
    let authority = Authority::new("DNS:localhost,IP:127.0.0.1");
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|it| it.local_addr()).expect("a port").port();
    let redis = Redis::with(&[
        "--requirepass",
        PASSWORD,
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &authority.text("leaf.pem"),
        "--tls-key-file",
        &authority.text("leaf.key"),
        "--tls-auth-clients",
        "no",
    ]);
    let (origin, url) = (Origin::start(), format!("rediss://localhost:{port}"));
    let ca = authority.text("ca.pem");
    let variables = [("REDIS_URL", url.as_str()), ("REDIS_PASSWORD", PASSWORD), ("REDIS_DB", "3")];
    check(&redis, &origin, &[&variables[..], &[(trusted, &ca)]].concat()).await;

    // An authority that nobody trusts vouches for nothing.
    let gateway = Gateway::start(&[&origin.url()], &variables);
    wait_for("the store not to be trusted", async || {
        gateway.http().get("/_test/echo").key(KEY).send().await;
        gateway.http().get("/gateway/health").send().await.text().contains("degraded")
    })
    .await;
}
