//! Rules on whole requests.

use alloc::{format, string::ToString};

use crate::{
    config::{Document, Format, Platform, Source},
    event::Event,
    plugins::lab::{Lab, Seen},
};

fn lab(rules: &str) -> Lab {
    let text = format!(
        "origins = [{{ name = 'a', url = 'http://a.test' }}, {{ name = 'b', url = 'http://b.test' }}]\n\
         auth.api_keys = ['alice:alice-key-01']\n\
         limits = [{{ name = 'heavy', by = 'ip', limit = 10, window_ms = 60000, on_demand = true }}]\n{rules}"
    );
    let source = Source { name: "gateway.toml", text: &text, format: Format::Toml };
    Lab::new(Document::read(Some(source), [], Platform::Native).unwrap())
}

fn send(rules: &str, target: &str, fields: &[(&str, &str)]) -> Seen {
    let fields: alloc::vec::Vec<_> = [("x-api-key", "alice-key-01")].iter().chain(fields).copied().collect();
    lab(rules).send("GET", target, &fields)
}

/// Whether a condition holds for a request: then it is 404.
fn holds(condition: &str, target: &str, fields: &[(&str, &str)]) -> bool {
    let rule = format!("[[rules]]\nwhen = \"\"\"{condition}\"\"\"\ndeny = {{ status = 404 }}");
    send(&rule, target, fields).status == 404
}

#[test]
fn names_stand_for_the_request() {
    for (condition, target, fields) in [
        ("request.method == 'GET' && request.path == '/a b'", "/a%20b/", &[][..]),
        ("request.route == '/api/v1/jobs/{id}'", "/api/v1/jobs/7", &[]),
        ("request.host == 'example.com'", "/x", &[("host", "Example.COM:8080")]),
        ("request.host == '[::1]'", "/x", &[("host", "[::1]:80")]),
        ("request.query.a == '1 2&' && request.query['b'] == ''", "/x?a=1+2%26&b&c=", &[]),
        ("'b' in request.query && !has(request.query.d)", "/x?a=1&b=2", &[]),
        ("request.headers['x-two'] == 'a, b'", "/x", &[("x-two", "a"), ("x-two", "b")]),
        ("client.ip == '192.0.2.1' && client.region == ''", "/x", &[]),
        ("time_ms > 1500000000000", "/x", &[]),
        ("identity.id == 'alice' && identity.tenant == 'alice' && identity.kind == 'api-key'", "/x", &[]),
        // However it is put together, a credential is not there.
        (
            "!(('x-api' + '-key') in request.headers) && !(('Coo' + 'kie') in request.headers)",
            "/x",
            &[("cookie", "a=b")],
        ),
    ] {
        assert!(holds(condition, target, fields), "{condition}");
    }
}

#[test]
fn a_rule_refuses_before_the_store_is_asked_unless_it_must_know_who_asks() {
    let early = "[[rules]]\nwhen = 'request.path == \"/x\"'\ndeny = { status = 403, message = 'not here' }";
    let seen = send(early, "/x", &[]);
    assert_eq!((seen.status, seen.asked.len(), seen.forwarded), (403, 0, false));
    assert!(alloc::string::String::from_utf8_lossy(&seen.body).contains("not here"));
    let late = "[[rules]]\nwhen = 'identity.tenant == \"alice\"'\ndeny = {}";
    let seen = send(late, "/x", &[]);
    assert_eq!((seen.status, seen.asked.is_empty(), seen.forwarded), (403, false, false));
    assert!(send(early, "/y", &[]).forwarded);
}

#[test]
fn allow_ends_the_look_and_the_order_counts() {
    let rules = "[[rules]]\nwhen = \"'x-pass' in request.headers\"\nallow = true\n[[rules]]\nwhen = 'true'\ndeny = {}\n\
                 [[rules]]\nwhen = 'identity.id != \"\"'\ndeny = {}";
    assert!(send(rules, "/x", &[("x-pass", "1")]).forwarded);
    assert_eq!(send(rules, "/x", &[]).status, 403);
}

#[test]
fn an_error_follows_the_rule() {
    for (on_error, status) in [("deny", 403), ("allow", 200)] {
        let rule = format!(
            "[[rules]]\nname = 'r'\nwhen = \"request.query.none == ''\"\non_error = '{on_error}'\ndeny = {{ status = 404 }}"
        );
        let seen = send(&rule, "/x", &[]);
        assert_eq!(seen.status, status);
        let detail = "rule `r`: column 15: no such entry; ask with `in` or `has` first".to_string();
        assert!(
            seen.events.contains(&Event::PluginError { plugin: "cel-plugin", detail }),
            "{:?}",
            seen.events
        );
    }
    let twice = "[[rules]]\nwhen = \"request.query.a == '1'\"\ndeny = { status = 404 }";
    assert_eq!(send(twice, "/x?a=2&a=1", &[]).status, 403);
}

#[test]
fn limits_are_chosen_with_their_cost() {
    let rules = "[[rules]]\nwhen = \"request.path == '/x'\"\nlimit = { name = 'heavy', cost = 4 }";
    let policy = |seen: &Seen| seen.headers.get("ratelimit-policy").unwrap().to_str().unwrap().to_string();
    let left = |seen: &Seen| seen.headers.get("ratelimit").unwrap().to_str().unwrap().to_string();
    let mut lab = lab(rules);
    let fields = [("x-api-key", "alice-key-01")];
    assert_eq!(policy(&lab.send("GET", "/y", &fields)), "\"default\";q=100;w=60");
    let seen = lab.send("GET", "/x", &fields);
    assert_eq!(policy(&seen), "\"default\";q=100;w=60, \"heavy\";q=10;w=60");
    assert!(left(&seen).contains("\"heavy\";r=6"), "{}", left(&seen));
    assert_eq!(lab.send("GET", "/x", &fields).status, 200);
    assert_eq!(lab.send("GET", "/x", &fields).status, 429);
    assert_eq!(lab.send("GET", "/y", &fields).status, 200);
}

#[test]
fn the_gateways_own_pages_are_not_for_rules() {
    let rules = "[[rules]]\nwhen = 'true'\ndeny = {}";
    assert_eq!(send(rules, "/gateway/livez", &[]).status, 200);
    assert_eq!(send(rules, "/api/v1/workers", &[]).status, 403);
}
