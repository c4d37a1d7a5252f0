//! The plugin in a gateway with all the others: a request in, a decision out, no network.

use std::sync::Arc;

use acip_core::{
    Answer, Facts, Gateway, RequestHead, Step, Verdict,
    config::{Document, Format, Platform, Source},
};
use acip_shell::plugins::compile_with;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

fn gateway(text: &str) -> Arc<Gateway> {
    let source = Source { name: "gateway.toml", text, format: Format::Toml };
    let document = Document::read(Some(source), [], Platform::Native).expect("reads");
    Arc::new(compile_with(document, custom_plugin::plugins).expect("compiles"))
}

/// The gateway's own answer; none where the request is let through to the origin.
fn answer(gateway: &Arc<Gateway>, path: &str, field: Option<&'static str>) -> Option<Answer> {
    let names = [Some("host"), field].into_iter().flatten();
    let fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
    let head = RequestHead {
        method: Method::GET,
        uri: path.parse().expect("a path"),
        version: Version::HTTP_11,
        headers: fields.collect::<HeaderMap>(),
    };
    let facts = Facts::at(1_700_000_000_000, [127, 0, 0, 1].into());
    match gateway.begin(head, facts) {
        Step::Settled(Verdict::Reply(reply)) => Some(reply.answer),
        _ => None,
    }
}

const OPEN: &str = "auth.enabled = false\nrate_limit.enabled = false\n";

#[test]
fn beta_pages_are_there_for_those_who_ask_for_them() {
    let on = format!("{OPEN}plugins.beta-plugin.config = {{ prefix = '/beta/', field = 'x-beta' }}");
    for (text, path, field, expected) in [
        (on.as_str(), "/beta/a", None, Some(404)),
        (&on, "/beta/a", Some("x-other"), Some(404)),
        (&on, "/beta/a", Some("x-beta"), None),
        (&on, "/a", None, None),
        (OPEN, "/beta/a", None, None),
    ] {
        let status = answer(&gateway(text), path, field).map(|answer| answer.status.as_u16());
        assert_eq!(status, expected, "{path} {field:?}");
    }
}

#[test]
fn it_is_listed_with_the_others() {
    let on = format!("{OPEN}plugins.beta-plugin.config = {{ prefix = '/beta/', field = 'x-beta' }}");
    assert!(gateway(&on).plugins().any(|plugin| plugin.name() == "beta-plugin"));
    assert!(gateway(OPEN).plugins().all(|plugin| plugin.name() != "beta-plugin"));
}
