//! Plugins that panic, and what is known of a plugin through its guard.

use std::{borrow::Cow, sync::Arc};

use acip_core::{
    Facts, Flow, Gateway, Outcome, RequestHead, ResponseHead, Step, Verdict,
    config::Document,
    event::Event,
    plugin::{OnError, Plan, Plugin, Reaction, Ruling, Subscription},
    store::Ask,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

use super::{Guarded, compile_with};

/// Panics where the path says so.
struct Panicky(OnError);

impl Plugin for Panicky {
    fn name(&self) -> &'static str {
        "panicky-plugin"
    }
    fn priority(&self) -> i32 {
        99
    }
    fn on_error(&self) -> OnError {
        self.0
    }
    fn subscriptions(&self) -> &'static [Subscription] {
        &[Subscription { event: "gateway:request:incoming", priority: 0 }]
    }
    fn on_event(&self, _: &Event, flow: &mut Flow) -> Reaction {
        assert_ne!(flow.request.head.uri.path(), "/health/event");
        Reaction::Pass
    }
    fn plan(&self, flow: &mut Flow, _: &mut Ask) -> Plan {
        assert_ne!(flow.request.head.uri.path(), "/health/plan");
        flow.on_seal(Box::new(|flow, _| assert_ne!(flow.request.head.uri.path(), "/health/seal")));
        Plan::Judge(Box::new(|flow, _| {
            assert_ne!(flow.request.head.uri.path(), "/health/judge");
            flow.on_finish(Box::new(|flow, _| assert_ne!(flow.request.head.uri.path(), "/health/finish")));
            Ruling::Pass
        }))
    }
}

fn gateway(on_error: OnError) -> Arc<Gateway> {
    let mut document = Document::default();
    (document.auth.enabled, document.rate_limit.enabled) = (false, false);
    let gateway = match on_error {
        OnError::Deny => compile_with(document, |_| Ok(vec![Arc::new(Panicky(OnError::Deny))])),
        OnError::Allow => compile_with(document, |_| Ok(vec![Arc::new(Panicky(OnError::Allow))])),
    };
    Arc::new(gateway.expect("compiles"))
}

/// Status, and how often the plugin failed.
fn send(gateway: &Arc<Gateway>, path: &str) -> (u16, usize) {
    let head = RequestHead {
        method: Method::POST,
        uri: path.parse().expect("a path"),
        version: Version::HTTP_11,
        headers: HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a"))]),
    };
    let facts = Facts::at(1_700_000_000_000, [127, 0, 0, 1].into());
    let Step::Settled(verdict) = gateway.begin(head, facts) else { panic!("nobody asks") };
    let (status, closing) = match verdict {
        Verdict::Reply(reply) => (reply.answer.status, reply.closing),
        Verdict::Forward(forward) => {
            let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::new() };
            let seal = forward.seal(0, head, 0, 0);
            (seal.head.status, seal.closing)
        }
        _ => panic!("neither refused nor forwarded"),
    };
    let events = closing.finish(Outcome::default()).events;
    let failed =
        events.iter().filter(|event| matches!(event, Event::PluginError { plugin: "panicky-plugin", .. }));
    (status.as_u16(), failed.count())
}

#[test]
fn a_panic_is_the_plugins_own_failure() {
    for (on_error, refused) in [(OnError::Deny, 500), (OnError::Allow, 200)] {
        let gateway = gateway(on_error);
        for (path, expected) in [
            ("/health/none", (200, 0)),
            ("/health/event", (refused, 1)),
            ("/health/plan", (refused, 1)),
            ("/health/judge", (refused, 1)),
            // Too late for a refusal.
            ("/health/seal", (200, 1)),
            ("/health/finish", (200, 1)),
        ] {
            assert_eq!(send(&gateway, path), expected, "{path} {on_error:?}");
        }
    }
}

/// Says of itself what no plugin says that says nothing.
struct Outspoken;

impl Plugin for Outspoken {
    fn name(&self) -> &'static str {
        "outspoken-plugin"
    }
    fn priority(&self) -> i32 {
        -7
    }
    fn dependencies(&self) -> &'static [&'static str] {
        &["auth-plugin"]
    }
    fn stays(&self) -> bool {
        true
    }
    fn is_idle(&self) -> bool {
        true
    }
    fn version(&self) -> Cow<'static, str> {
        "7.1".into()
    }
    fn fault(&self) -> Option<String> {
        Some("no file".to_owned())
    }
    fn implementation(&self) -> &'static str {
        "own"
    }
    fn is_enabled(&self) -> bool {
        false
    }
    fn on_error(&self) -> OnError {
        OnError::Allow
    }
    fn subscriptions(&self) -> &'static [Subscription] {
        &[Subscription { event: "gateway:request:completed", priority: 3 }]
    }
    fn plan(&self, _: &mut Flow, _: &mut Ask) -> Plan {
        Plan::Pass
    }
}

/// All that a plugin says of itself.
fn described(plugin: &dyn Plugin) -> String {
    let place = (plugin.name(), plugin.priority(), plugin.dependencies(), plugin.subscriptions());
    let state = (plugin.stays(), plugin.is_idle(), plugin.is_enabled(), plugin.on_error());
    format!("{place:?} {state:?} {} {} {:?}", plugin.implementation(), plugin.version(), plugin.fault())
}

#[test]
fn a_guard_says_what_its_plugin_says() {
    for plugin in [Arc::new(Outspoken) as Arc<dyn Plugin>, Arc::new(Panicky(OnError::Deny))] {
        assert_eq!(described(&Guarded::new(Arc::clone(&plugin))), described(&*plugin));
    }
}
