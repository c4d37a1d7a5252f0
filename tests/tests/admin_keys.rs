//! API keys through the admin API, on a running gateway: made, used, changed, rotated and revoked, on every gateway of the store.

use acip_tests::{ADMIN, Answer, Gateway, Stand, Target};
use http::Method;
use serde_json::{Value, json};

async fn admin(gateway: &Gateway, method: Method, path: &str, body: &Value) -> Answer {
    let call = gateway.http().call(method, path).bearer(ADMIN);
    if body.is_null() { call.send().await } else { call.body(body.to_string()).send().await }
}

async fn used(gateway: &Gateway, key: &Value) -> u16 {
    gateway.http().get("/_test/echo").key(key["key"].as_str().expect("a key")).send().await.status.as_u16()
}

fn path(key: &Value) -> String {
    format!("/gateway/keys/{}", key["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_key_counts_from_the_next_request_in_every_gateway() {
    let stand = Stand::start(&[]);
    let other = (Target::current() == Target::Native).then(|| stand.another(&[]));
    let gateways: Vec<&Gateway> = std::iter::once(&stand.gateway).chain(&other).collect();
    let check = async |key: &Value, status: u16, what: &str| {
        for gateway in &gateways {
            assert_eq!(used(gateway, key).await, status, "{what}");
        }
    };
    let about = json!({"name": "ci", "limits": [{"name": "burst", "limit": 1000, "window_ms": 60_000}]});
    let made = admin(&stand.gateway, Method::POST, "/gateway/keys", &about).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("cache-control"), "no-store");
    let key = made.json();
    check(&key, 200, "made").await;

    let listed = admin(&stand.gateway, Method::GET, "/gateway/keys", &Value::Null).await;
    assert!(!listed.text().contains(key["key"].as_str().expect("a key")), "shown once");
    assert_eq!((&listed.json()["keys"][0]["id"], &listed.json()["total"]), (&key["id"], &json!(1)));

    let off = admin(&stand.gateway, Method::PATCH, &path(&key), &json!({"enabled": false})).await;
    assert_eq!((off.status.as_u16(), &off.json()["enabled"]), (200, &json!(false)), "{}", off.text());
    check(&key, 401, "disabled").await;
    assert_eq!(
        admin(&stand.gateway, Method::PATCH, &path(&key), &json!({"enabled": true})).await.status,
        200
    );
    check(&key, 200, "enabled").await;

    let rotate = format!("{}/rotate", path(&key));
    let fresh = admin(&stand.gateway, Method::POST, &rotate, &json!({"grace_seconds": 3600})).await.json();
    check(&key, 200, "in its grace").await;
    check(&fresh, 200, "fresh").await;
    assert_eq!(admin(&stand.gateway, Method::DELETE, &path(&key), &Value::Null).await.status, 204);
    check(&key, 401, "revoked").await;
    check(&fresh, 200, "still there").await;

    let last =
        admin(&stand.gateway, Method::POST, &format!("{}/rotate", path(&fresh)), &Value::Null).await.json();
    check(&fresh, 401, "rotated without grace").await;
    check(&last, 200, "the last one").await;

    let strict = json!({"routes": ["/api/v1/jobs/*"], "ip_allow": ["192.0.2.0/24"]});
    assert_eq!(admin(&stand.gateway, Method::PATCH, &path(&last), &strict).await.status, 200);
    check(&last, 403, "from elsewhere").await;
}

#[tokio::test]
async fn limits_of_a_key_are_its_own() {
    let stand = Stand::start(&[]);
    let limits = json!([{"name": "two", "limit": 2, "window_ms": 600_000, "algorithm": "sliding-log"}]);
    let about = json!({"name": "few", "limits": limits});
    let key = admin(&stand.gateway, Method::POST, "/gateway/keys", &about).await.json();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(used(&stand.gateway, &key).await);
    }
    assert_eq!(seen, [200, 200, 429]);
    assert_eq!(admin(&stand.gateway, Method::PATCH, &path(&key), &json!({"limits": null})).await.status, 200);
    assert_eq!(used(&stand.gateway, &key).await, 200, "the usual limit");
}

#[tokio::test]
async fn nobody_else_manages_keys() {
    let stand = Stand::start(&[]);
    let key = admin(&stand.gateway, Method::POST, "/gateway/keys", &json!({"name": "a"})).await.json();
    let own = key["key"].as_str().expect("a key");
    for (method, path) in [
        (Method::GET, String::from("/gateway/keys")),
        (Method::POST, String::from("/gateway/keys")),
        (Method::DELETE, path(&key)),
        (Method::POST, format!("{}/rotate", path(&key))),
    ] {
        let bare = stand.gateway.http().call(method.clone(), &path).send().await;
        assert_eq!((bare.status.as_u16(), bare.code()), (401, "UNAUTHORIZED".into()), "{method} {path}");
        let other = stand.gateway.http().call(method.clone(), &path).key(own).send().await;
        assert_eq!(other.status, 403, "{method} {path}");
    }
    let bad =
        admin(&stand.gateway, Method::POST, "/gateway/keys", &json!({"nmae": "a", "daily_limit": -1})).await;
    assert_eq!(bad.status, 400);
    let errors = bad.json()["error"]["details"]["errors"].to_string();
    for place in ["nmae", "daily_limit", "name"] {
        assert!(errors.contains(place), "{errors}");
    }
    assert_eq!(used(&stand.gateway, &key).await, 200);
}
