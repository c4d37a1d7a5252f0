//! Rules as they are read.

use alloc::{format, string::ToString};

use crate::config::{Document, Format, Platform, Source};

fn read(text: &str) -> Result<Document, alloc::string::String> {
    let source = Source { name: "gateway.toml", text, format: Format::Toml };
    Document::read(Some(source), [], Platform::Native).map_err(|errors| errors.to_string())
}

#[test]
fn what_is_shown_reads_as_the_same() {
    let text = r#"
        limits = [{ name = "heavy", by = "key", limit = 10, window_ms = 1000, on_demand = true }]
        [[rules]]
        when = "request.method == 'POST'"
        limit = { name = "heavy", cost = 5 }
        set_request_headers = ["X-Tier: gold, or so"]
        remove_request_headers = ["x-debug"]
        set_response_headers = ["x-a: 1"]
        remove_response_headers = ["server"]
        origins = ["localhost:8000"]
        skip_cache = true
        on_error = "allow"
        [[rules]]
        name = "closed"
        when = "identity.tenant in ['a', 'b']"
        deny = { status = 429, message = "later" }
        [[rules]]
        when = "request.path == '/a'"
        deny = { status = 403, retry_after_seconds = 5 }
        [[rules]]
        when = "true"
        allow = true
        "#;
    let document = read(text).unwrap();
    assert_eq!(document.rules.len(), 4);
    let again = read(&document.to_toml_masked()).unwrap();
    assert_eq!(document.rules, again.rules);
    assert!(again.limits[0].on_demand);
}

#[test]
fn what_does_not_fit_is_told_with_its_place() {
    for (rule, expected) in [
        (
            "when = \"requst.path == ''\"",
            "gateway.toml:2:8: rules[0].when: column 1: unknown name `requst.path`; did you mean `request.path`?",
        ),
        (
            "when = 'request.path'",
            "gateway.toml:2:8: rules[0].when: column 1: a condition must be true or false, and this is a string",
        ),
        (
            "deny = {}",
            "gateway.toml:1:1: rules[0]: `when` is missing: the condition under which the rest holds",
        ),
        (
            "when = 'true'\ndeny = { status = 418 }",
            "gateway.toml:3:19: rules[0].deny.status: this status has no error code: write 400, 403, 404, 405, 413, 429 or 503",
        ),
        (
            "when = 'true'\nallow = true\ndeny = {}",
            "gateway.toml:3:9: rules[0].allow: `deny` refuses what `allow` lets pass: keep one",
        ),
        ("when = 'true'\norigins = ['other']", "gateway.toml: rules[0].origins: no origin is called `other`"),
        (
            "when = 'true'\nlimit = { name = 'none' }",
            "gateway.toml: rules[0].limit.name: none of `[[limits]]` is called `none`",
        ),
        (
            "when = 'identity.id == \"\"'\nlimit = { name = 'none' }",
            "rules[0].limit: limits are spent before it is known who asks",
        ),
        (
            "when = 'true'\nset_request_headers = ['x-a']",
            "`x-a` is not accepted: write a field such as `X-Tier: gold`",
        ),
        (
            "when = 'true'\nset_request_headers = ['Host: a']",
            "`Host: a` is not accepted: write the name of a field that is not the gateway's",
        ),
        (
            "when = 'true'\nremove_request_headers = ['Authorization']",
            "`Authorization` is not accepted: write the name of a field that is not",
        ),
        ("when = 'true'\nset_response_headers = ['x-a: b\\n']", ""),
        ("when = 'true'\nif = 'true'", "rules[0].if: unknown key `if`"),
    ] {
        match read(&format!("[[rules]]\n{rule}\n")) {
            Ok(_) => assert_eq!(expected, "", "{rule}"),
            Err(message) => assert!(!expected.is_empty() && message.contains(expected), "{rule}: {message}"),
        }
    }
    let twice = "[[rules]]\nname = 'a'\nwhen = 'true'\n[[rules]]\nname = 'a'\nwhen = 'true'";
    assert!(read(twice).unwrap_err().contains("two rules are called `a`"));
}
