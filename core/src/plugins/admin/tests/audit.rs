//! Every change leaves one record of who did what to what, by name and never by value; nothing else does.

use super::*;
use crate::{event::Event, outcome::AccessRecord, telemetry::access};

fn told(seen: &Seen) -> String {
    let heard = seen.events.contains(&Event::AdminChanged);
    assert_eq!(heard, seen.audit.is_some() && seen.status < 300, "{seen:?}");
    let Some(audit) = &seen.audit else { return String::new() };
    assert_eq!(audit.by, "ADMIN_TOKEN");
    format!("{} {:?} {:?}", audit.action, audit.subjects, audit.changed)
}

#[test]
fn each_change_leaves_one_record() {
    let mut lab = lab();
    let mut check = |method: &str, target: &str, body: Value, status: u16, expected: &str| {
        let seen = say(&mut lab, method, target, None, &body);
        assert_eq!((seen.status, told(&seen).as_str()), (status, expected), "{method} {target} {body}");
        seen
    };
    let config = "/gateway/config";
    let patch = json!({"rate_limit": {"max_requests": 7}, "cache": {"enabled": false}});
    let made = r#"config.change [] ["cache.enabled", "rate_limit.max_requests"]"#;
    check("PATCH", config, patch.clone(), 200, made);
    check("PATCH", config, patch, 200, "");
    check("PATCH", config, json!({"rate_limit": {"max_requests": "x"}}), 400, "");
    check("GET", config, json!({}), 200, "");
    let off = r#"plugins.change ["cors-plugin"] ["plugins.cors-plugin.enabled"]"#;
    check("PATCH", "/gateway/plugins/cors-plugin", json!({"enabled": false}), 200, off);
    let back = r#"config.rollback ["0"] ["cache.enabled", "plugins.cors-plugin.enabled", "rate_limit.max_requests"]"#;
    check("POST", "/gateway/config/rollback", json!({"version": 0}), 200, back);
    check("POST", "/gateway/config/rollback", json!({"version": 7}), 404, "");

    let purge = "/gateway/cache/purge";
    let some = r#"cache.purge ["/a", "models"] []"#;
    check("POST", purge, json!({"path": "/a", "tag": ["models"]}), 200, some);
    check("POST", purge, json!({"all": true}), 200, r#"cache.purge ["all"] []"#);
    check("POST", purge, json!({}), 400, "");
}

#[test]
fn each_change_of_a_key_leaves_one_record() {
    let mut lab = lab();
    let made = say(&mut lab, "POST", "/gateway/keys", None, &json!({"name": "hush", "daily_limit": 90}));
    let (id, key) = (made.json()["id"].to_string(), made.json()["key"].to_string());
    let record = told(&made);
    assert!(record.starts_with(&format!("keys.create [{id}] ")), "{record}");
    for field in ["name", "tenant", "daily_limit"] {
        assert!(record.contains(&format!("\"{field}\"")), "{field}: {record}");
    }
    assert!(!record.contains("hush") && !record.contains("90") && !record.contains(key.trim_matches('"')));

    let path = format!("/gateway/keys/{}", id.trim_matches('"'));
    let mut check = |method: &str, target: &str, body: Value, expected: &str| {
        let seen = say(&mut lab, method, target, None, &body);
        assert_eq!(told(&seen), expected, "{method} {target} {body}");
        seen
    };
    let change = format!("keys.change [{id}] [\"enabled\", \"daily_limit\"]");
    check("PATCH", &path, json!({"enabled": false, "daily_limit": null}), &change);
    check("PATCH", &path, json!({"enabled": false}), "");
    check("PATCH", &path, json!({"name": 1}), "");
    check("GET", &path, json!({}), "");
    let rotated = say(&mut lab, "POST", &format!("{path}/rotate"), None, &json!({}));
    let new = rotated.json()["id"].to_string();
    assert_eq!(told(&rotated), format!("keys.rotate [{id}, {new}] []"));
    let gone = say(&mut lab, "DELETE", &format!("/gateway/keys/{}", new.trim_matches('"')), None, &json!({}));
    assert_eq!((gone.status, told(&gone)), (204, format!("keys.revoke [{new}] []")));
}

#[test]
fn its_line_is_written_whatever_the_log_leaves_out() {
    let mut lab = lab();
    let quiet = json!({"log": {"level": "error"}});
    let seen = say(&mut lab, "PATCH", "/gateway/config", None, &quiet);
    follow(&mut lab);
    let document = lab.gateway.document();
    let mut record = AccessRecord { audit: seen.audit, ..AccessRecord::default() };
    assert!(access::is_written(&record, document));
    let audit = r#"{"by":"ADMIN_TOKEN","action":"config.change","subjects":[],"changed":["log.level"]}"#;
    assert!(access::json_line(&record, document).ends_with(&format!(",\"audit\":{audit}}}")));
    assert!(access::pretty_line(&record, document).ends_with(&format!(" audit={audit}")));
    record.audit = None;
    assert!(!access::is_written(&record, document));
}
