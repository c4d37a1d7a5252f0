//! Credentials of clients: how they are sent, what a key's record allows, and how often one may guess.

use acip_tests::{Call, Feature, Gateway, KEY, OTHER_KEY, Stand, gateway_binary, supported, wait_for};
use serde_json::{Value, json};

/// Runs `acip-gateway keys …` on the stand's Redis.
fn keys(stand: &Stand, arguments: &[&str]) -> String {
    let output = std::process::Command::new(gateway_binary())
        .arg("keys")
        .args(arguments)
        .env_clear()
        .env("REDIS_URL", stand.redis().url())
        .current_dir(std::env::temp_dir())
        .output()
        .expect("the command starts");
    assert!(output.status.success(), "keys {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A fresh key: the key itself, and its id.
fn create(stand: &Stand, arguments: &[&str]) -> (String, String) {
    told(&keys(stand, &[&["create", "--name", "test"], arguments].concat()))
}

fn told(output: &str) -> (String, String) {
    let record: Value = serde_json::from_str(output).expect("JSON");
    (record["key"].as_str().expect("a key").to_owned(), record["id"].as_str().expect("an id").to_owned())
}

fn ask(stand: &Stand, key: &str) -> Call {
    stand.get("/_test/echo").key(key)
}

#[tokio::test]
async fn a_credential_comes_in_three_fields_and_they_must_agree() {
    let stand = Stand::start(&[]);
    for (fields, status, code) in [
        (vec![("x-api-key", KEY)], 200, ""),
        (vec![("x-worker-token", KEY)], 200, ""),
        (vec![("authorization", "Bearer test-key-0123456789")], 200, ""),
        (vec![("authorization", "bearer   test-key-0123456789")], 200, ""),
        (vec![("x-api-key", KEY), ("authorization", "Bearer test-key-0123456789")], 200, ""),
        (vec![("x-api-key", KEY), ("x-worker-token", KEY)], 200, ""),
        (vec![("x-api-key", KEY), ("x-api-key", KEY)], 200, ""),
        (vec![("x-api-key", KEY), ("authorization", "Basic dTpw")], 200, ""),
        (vec![("x-api-key", KEY), ("x-worker-token", OTHER_KEY)], 400, "BAD_REQUEST"),
        (vec![("x-api-key", KEY), ("authorization", "Bearer wrong")], 400, "BAD_REQUEST"),
        (vec![("x-api-key", "wrong"), ("x-api-key", KEY)], 400, "BAD_REQUEST"),
        (vec![("authorization", "Bearer a b")], 400, "BAD_REQUEST"),
        (vec![("x-api-key", "")], 400, "BAD_REQUEST"),
        (vec![("x-api-key", "wrong")], 401, "UNAUTHORIZED"),
        (vec![("authorization", "Basic dTpw")], 401, "UNAUTHORIZED"),
        (vec![], 401, "UNAUTHORIZED"),
    ] {
        let mut call = stand.get("/_test/echo");
        for (name, value) in &fields {
            call = call.header(name, value);
        }
        let answer = call.send().await;
        let same_field = matches!(fields.as_slice(), [(first, _), (second, _)] if first == second);
        if same_field && answer.status == 401 && !supported(&[Feature::RepeatedFields]) {
            // Joined without a space they are one credential, which nobody has.
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{fields:?}");
        assert_eq!(answer.header("www-authenticate").starts_with("Bearer "), status == 401, "{fields:?}");
    }
}

#[tokio::test]
async fn a_record_limits_what_its_key_may_do() {
    let stand = Stand::start(&[]);
    let (queue, echo) = ("/api/v1/jobs/stats/queue", "/_test/echo");
    for (arguments, allowed, refused) in [
        (vec!["--route", "/api/v1/jobs/*"], Some(queue), Some(echo)),
        (vec!["--route", "/_test/echo", "--route", "/health"], Some(echo), Some(queue)),
        (vec!["--ip-allow", "10.0.0.0/8"], None, Some(echo)),
        (vec!["--ip-allow", "10.0.0.0/8", "--ip-allow", "127.0.0.0/8"], Some(echo), None),
        (vec!["--ip-allow", "127.0.0.1"], Some(echo), None),
        (vec!["--admin"], Some("/api/v1/admin/stats"), None),
        (vec![], Some(echo), Some("/api/v1/admin/stats")),
    ] {
        let (key, _) = create(&stand, &arguments);
        for (path, status) in allowed.map(|it| (it, 200)).into_iter().chain(refused.map(|it| (it, 403))) {
            let answer = stand.get(path).key(&key).send().await;
            assert_eq!(answer.status, status, "{arguments:?} {path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn limits_come_from_the_record() {
    let stand = Stand::start(&[]);
    for (arguments, admitted, limit, policy) in [
        (vec!["--limit", "burst:3:60000:sliding-log"], 3, "3", "\"burst\";q=3;w=60"),
        (vec!["--limit", "dear:6:60000:fixed-window:2"], 3, "6", "\"dear\";q=6;w=60"),
        (
            vec!["--limit", "wide:50:60000", "--limit", "tight:2:30000:token-bucket"],
            2,
            "2",
            "\"tight\";q=2;w=30",
        ),
        (vec!["--daily-limit", "4"], 4, "4", "\"daily\";q=4;w=86400"),
    ] {
        let (key, _) = create(&stand, &arguments);
        for _ in 0..admitted {
            let answer = ask(&stand, &key).bearer(&key).send().await;
            assert_eq!(answer.status, 200, "{arguments:?}: {}", answer.text());
        }
        let answer = ask(&stand, &key).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (429, "RATE_LIMIT_EXCEEDED"),
            "{arguments:?}"
        );
        assert!(
            answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0),
            "{arguments:?}"
        );
        assert_eq!(answer.header("x-ratelimit-limit"), limit, "{arguments:?}");
        assert!(answer.header("ratelimit-policy").contains(policy), "{:?}", answer.headers);
    }
    // A record without limits has the default one; its neighbours' counts are not its own.
    let (key, _) = create(&stand, &[]);
    assert_eq!(ask(&stand, &key).send().await.header("x-ratelimit-remaining"), "99");
}

#[tokio::test]
async fn a_key_ends_at_once_in_every_gateway() {
    let stand = Stand::start(&[]);
    let other = stand.another(&[]);
    async fn statuses(stand: &Stand, other: &Gateway, key: &str) -> [u16; 2] {
        let there = other.http().get("/_test/echo").key(key).send().await;
        [ask(stand, key).send().await.status.as_u16(), there.status.as_u16()]
    }
    for verb in ["disable", "revoke"] {
        let (key, id) = create(&stand, &[]);
        assert_eq!(statuses(&stand, &other, &key).await, [200, 200]);
        keys(&stand, &[verb, &id]);
        assert_eq!(statuses(&stand, &other, &key).await, [401, 401], "after {verb}");
    }

    let (key, id) = create(&stand, &["--tenant", "acme"]);
    let (new, _) = told(&keys(&stand, &["rotate", &id]));
    assert_eq!(statuses(&stand, &other, &key).await, [401, 401], "rotated without grace");
    assert_eq!(statuses(&stand, &other, &new).await, [200, 200]);

    let (key, id) = create(&stand, &["--tenant", "acme"]);
    let (new, _) = told(&keys(&stand, &["rotate", &id, "--grace-seconds", "2"]));
    assert_eq!(statuses(&stand, &other, &key).await, [200, 200], "within its grace");
    assert_eq!(statuses(&stand, &other, &new).await, [200, 200]);
    wait_for("the grace is over", || async { statuses(&stand, &other, &key).await == [401, 401] }).await;
    assert_eq!(statuses(&stand, &other, &new).await, [200, 200]);

    let (key, _) = create(&stand, &["--expires-in", "2"]);
    assert_eq!(statuses(&stand, &other, &key).await, [200, 200]);
    wait_for("the key expires", || async { statuses(&stand, &other, &key).await == [401, 401] }).await;
}

#[tokio::test]
async fn keys_of_one_tenant_see_each_others_jobs() {
    let stand = Stand::start(&[]);
    let (one, _) = create(&stand, &["--tenant", "acme"]);
    let (two, _) = create(&stand, &["--tenant", "acme"]);
    let (stranger, _) = create(&stand, &["--tenant", "other"]);
    let job = json!({"type": "llm", "params": {}});
    let told = stand.post("/api/v1/jobs", &job).key(&one).send().await.json();
    let path = format!("/api/v1/jobs/{}", told["job_id"].as_str().expect("an id"));
    for (key, status) in [(&one, 200), (&two, 200), (&stranger, 404)] {
        assert_eq!(stand.get(&path).key(key).send().await.status, status);
    }
}

#[tokio::test]
async fn guessing_is_limited_and_neighbours_are_not() {
    let stand = Stand::start(&[]);
    let other = stand.another(&[]);
    let worker = "/api/v1/workers/0190b5a0-0000-7000-8000-000000000001";
    let mut statuses = Vec::new();
    for n in 0..24 {
        let wrong = format!("wrong-{n}");
        // Whatever the door, and through whichever gateway.
        let call = match n % 3 {
            0 => ask(&stand, &wrong),
            1 => other.http().get("/api/v1/admin/stats").bearer(&wrong),
            _ => stand.get(&format!("{worker}/stats")).token(&wrong),
        };
        let answer = call.send().await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "RATE_LIMIT_EXCEEDED");
            // What is left of the minute, and then until a twentieth of it counts no more.
            let seconds = answer.header("retry-after").parse::<u64>().expect("seconds");
            assert!((1..=63).contains(&seconds), "{seconds}");
        }
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [vec![401; 20], vec![429; 4]].concat());
    assert_eq!(ask(&stand, KEY).send().await.status, 200, "a valid key from the same address");
    assert_eq!(stand.get("/_test/echo").send().await.status, 401, "no credential is no guess");
    assert_eq!(stand.reached_in_all().await, 1);
}
