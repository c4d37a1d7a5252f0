//! Keys made, listed, changed, rotated and revoked, on the embedded store.

use super::*;

const ANY: &str = "/api/v1/echo";

fn send(lab: &mut Lab, method: &str, path: &str, body: &Value) -> Seen {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let fields = [("authorization", "Bearer the-admin-token")];
    lab.exchange(method, path, &fields, &body, Origin(200, Value::Null))
}

fn status_of(lab: &mut Lab, key: &Value) -> u16 {
    lab.send("GET", ANY, &[("x-api-key", key.as_str().unwrap())]).status
}

fn made(lab: &mut Lab, body: &Value) -> Value {
    let seen = send(lab, "POST", "/gateway/keys", body);
    assert_eq!(seen.status, 201, "{seen:?}");
    seen.json()
}

fn path(key: &Value) -> String {
    format!("/gateway/keys/{}", key["id"].as_str().unwrap())
}

#[test]
fn a_key_lives_as_its_record_says() {
    let mut lab = lab();
    let key = made(&mut lab, &json!({"name": "ci", "tenant": "acme", "daily_limit": 90}));
    assert_eq!((&key["name"], &key["tenant"], &key["enabled"]), (&json!("ci"), &json!("acme"), &json!(true)));
    assert_eq!(status_of(&mut lab, &key["key"]), 200);

    let shown = send(&mut lab, "GET", &path(&key), &Value::Null).json();
    assert_eq!((shown.get("key"), &shown["id"]), (None, &key["id"]), "the key itself is shown once");

    let off = send(&mut lab, "PATCH", &path(&key), &json!({"enabled": false, "daily_limit": null}));
    assert_eq!(off.status, 200);
    assert_eq!((&off.json()["enabled"], &off.json()["daily_limit"]), (&json!(false), &Value::Null));
    assert_eq!(status_of(&mut lab, &key["key"]), 401);
    assert_eq!(send(&mut lab, "PATCH", &path(&key), &json!({"enabled": true})).status, 200);
    assert_eq!(status_of(&mut lab, &key["key"]), 200);

    let gone = send(&mut lab, "DELETE", &path(&key), &Value::Null);
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(status_of(&mut lab, &key["key"]), 401);
    for (method, body) in [("GET", Value::Null), ("DELETE", Value::Null), ("PATCH", json!({"enabled": true}))]
    {
        assert_eq!(send(&mut lab, method, &path(&key), &body).status, 404, "{method}");
    }
}

/// A key that can be guessed is worse than none.
#[test]
fn without_random_bytes_no_key_is_made() {
    let mut lab = lab();
    let key = made(&mut lab, &json!({"name": "ci"}));
    lab.has_chance = false;
    let rotate = format!("{}/rotate", path(&key));
    for (path, body) in [("/gateway/keys", json!({"name": "cd"})), (&rotate, json!({"grace_seconds": 60}))] {
        let seen = send(&mut lab, "POST", path, &body);
        assert_eq!((seen.status, &seen.json()["error"]["code"]), (500, &json!("INTERNAL_ERROR")), "{path}");
    }
    let listed = send(&mut lab, "GET", "/gateway/keys", &Value::Null).json();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(status_of(&mut lab, &key["key"]), 200);
}

#[test]
fn a_rotated_key_ends_when_its_grace_does() {
    let mut lab = lab();
    let old = made(&mut lab, &json!({"name": "ci", "routes": [ANY]}));
    let rotate = format!("{}/rotate", path(&old));
    let seen = send(&mut lab, "POST", &rotate, &json!({"grace_seconds": 5}));
    let new = seen.json();
    assert_eq!((seen.status, &new["replaces"], &new["routes"]), (200, &old["id"], &json!([ANY])));
    assert_ne!(new["key"], old["key"]);
    lab.now_ms += 4_999;
    assert_eq!((status_of(&mut lab, &old["key"]), status_of(&mut lab, &new["key"])), (200, 200));
    lab.now_ms += 1;
    assert_eq!((status_of(&mut lab, &old["key"]), status_of(&mut lab, &new["key"])), (401, 200));

    let at_once = send(&mut lab, "POST", &format!("{}/rotate", path(&new)), &Value::Null).json();
    assert_eq!((status_of(&mut lab, &new["key"]), status_of(&mut lab, &at_once["key"])), (401, 200));
}

#[test]
fn an_end_can_be_moved_to_the_millisecond() {
    let mut lab = lab();
    let key = made(&mut lab, &json!({"name": "ci", "expires_in": 1}));
    assert_eq!(send(&mut lab, "PATCH", &path(&key), &json!({"expires_in": 3})).status, 200);
    lab.now_ms += 2_999;
    assert_eq!(status_of(&mut lab, &key["key"]), 200);
    lab.now_ms += 1;
    assert_eq!(status_of(&mut lab, &key["key"]), 401);
    let key = made(&mut lab, &json!({"name": "ci", "expires_in": 1}));
    assert_eq!(send(&mut lab, "PATCH", &path(&key), &json!({"expires_at": null})).status, 200);
    lab.now_ms += 5_000;
    assert_eq!(status_of(&mut lab, &key["key"]), 200);
}

#[test]
fn the_list_comes_in_pages_and_forgets_what_has_ended() {
    let mut lab = lab();
    let empty = send(&mut lab, "GET", "/gateway/keys", &Value::Null).json();
    assert_eq!(empty, json!({"keys": [], "total": 0, "cursor": null}));
    for name in ["a", "b", "c"] {
        made(&mut lab, &json!({"name": name}));
    }
    made(&mut lab, &json!({"name": "brief", "expires_in": 1}));
    lab.now_ms += 61_001;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("/gateway/keys?limit=2&cursor={cursor}");
        let page = send(&mut lab, "GET", &page, &Value::Null).json();
        ids.extend(page["keys"].as_array().unwrap().iter().map(|key| key["id"].to_string()));
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = next.into();
    }
    assert_eq!((ids.len(), ids.is_sorted()), (3, true));
    let all = send(&mut lab, "GET", "/gateway/keys", &Value::Null).json();
    assert_eq!(all["total"], 3, "what has ended is forgotten");
    assert_eq!(send(&mut lab, "GET", "/gateway/keys?limit=0", &Value::Null).status, 400);
}

#[test]
fn what_is_wrong_is_told_and_changes_nothing() {
    let mut lab = lab();
    let key = made(&mut lab, &json!({"name": "ci"}));
    for (method, path, body) in [
        ("POST", String::from("/gateway/keys"), json!({})),
        ("POST", String::from("/gateway/keys"), json!([])),
        ("PATCH", path(&key), json!({"enabeld": true})),
        ("PATCH", path(&key), json!({"expires_in": "soon"})),
        ("POST", format!("{}/rotate", path(&key)), json!({"grace_seconds": -1})),
        ("POST", format!("{}/rotate", path(&key)), json!({"grace": 1})),
    ] {
        let seen = send(&mut lab, method, &path, &body);
        assert_eq!(seen.status, 400, "{method} {path} {body}: {seen:?}");
    }
    for (method, path) in [
        ("GET", "/gateway/keys/key_0"),
        ("POST", "/gateway/keys/key_0/rotate"),
        ("DELETE", "/gateway/keys/key_0"),
    ] {
        assert_eq!(send(&mut lab, method, path, &Value::Null).status, 404, "{method} {path}");
    }
    assert_eq!(send(&mut lab, "PUT", &path(&key), &Value::Null).status, 405);
    let stranger = lab.send("GET", "/gateway/keys", &[("x-api-key", key["key"].as_str().unwrap())]);
    assert_eq!(stranger.status, 403);
    assert_eq!(send(&mut lab, "GET", "/gateway/keys", &Value::Null).json()["total"], 1);
    assert_eq!(status_of(&mut lab, &key["key"]), 200);
}
