//! Plugins that fail, plugins that listen, and plugins that need others.

use alloc::{format, string::String, string::ToString, sync::Arc, vec, vec::Vec};
use bytes::Bytes;

use super::*;
use crate::{
    Gateway, Outcome, Step, Verdict,
    plugins::fixture::{document, facts, head},
    refusal::ErrorCode,
    store::Op,
};

/// Does as the path says: `/plan` fails there, `/judge` there, `/incoming` when it hears of the request, `/cancel` cancels it
/// there, `/late` fails when it hears of the end.
struct Moody {
    name: &'static str,
    on_error: OnError,
    wants: &'static [Subscription],
}

impl Plugin for Moody {
    fn name(&self) -> &'static str {
        self.name
    }
    fn priority(&self) -> i32 {
        50
    }
    fn on_error(&self) -> OnError {
        self.on_error
    }
    fn subscriptions(&self) -> &'static [Subscription] {
        self.wants
    }
    fn on_event(&self, event: &Event, flow: &mut Flow) -> Reaction {
        let path = flow.request.head.uri.path();
        match (path, event) {
            ("/incoming", Event::RequestIncoming) | ("/late", Event::RequestCompleted) => {
                return Reaction::Failed("no mood".into());
            }
            ("/cancel", Event::RequestIncoming | Event::RequestCompleted) => {
                return Reaction::Cancel(Refusal::new(ErrorCode::Forbidden, "cancelled", "cancelled"));
            }
            _ => {}
        }
        let key = format!("{} heard {}", self.name, event.name());
        flow.writes.push(Op::Set { key, value: Bytes::new(), ttl_ms: None, only_new: false });
        Reaction::Pass
    }
    fn plan(&self, flow: &mut Flow, _: &mut Ask) -> Plan {
        match flow.request.head.uri.path() {
            "/plan" => Plan::Failed("x".repeat(1000).into()),
            "/judge" => Plan::Judge(Box::new(|_, _| Ruling::Failed("no mood".into()))),
            _ => Plan::Pass,
        }
    }
}

const BOTH: &[Subscription] = &[
    Subscription { event: "gateway:request:completed", priority: 1 },
    Subscription { event: "gateway:request:incoming", priority: 1 },
];
const EARLIER: &[Subscription] = &[
    Subscription { event: "gateway:request:incoming", priority: 2 },
    Subscription { event: "gateway:request:completed", priority: 0 },
];

/// Status, failures by plugin, and who heard what.
fn send(path: &str, plugins: Vec<Moody>) -> (u16, Vec<String>, Vec<String>) {
    let plugins = plugins.into_iter().map(|plugin| Arc::new(plugin) as Arc<dyn Plugin>).collect();
    let gateway = Arc::new(Gateway::with_plugins(document(), plugins).unwrap());
    let verdict = match gateway.begin(head("GET", path, &[]), facts()) {
        Step::Settled(verdict) => verdict,
        Step::Asking(_) => panic!("nobody asks"),
    };
    let (status, closing) = match verdict {
        Verdict::Reply(reply) => (reply.answer.status.as_u16(), reply.closing),
        Verdict::Forward(forward) => (200, forward.abandon()),
        _ => panic!("{path}"),
    };
    let closing = crate::verdict::Closing { status: http::StatusCode::from_u16(status).unwrap(), ..closing };
    let epilogue = closing.finish(Outcome::default());
    let failures = epilogue.events.iter().filter_map(|event| match event {
        Event::PluginError { plugin, detail } => Some(format!("{plugin}: {}", detail.len())),
        _ => None,
    });
    let keys = epilogue.batch.iter().flat_map(|batch| &batch.ops).map(|op| match op {
        Op::Set { key, .. } => key.clone(),
        other => format!("{other:?}"),
    });
    (status, failures.collect(), keys.collect())
}

#[test]
fn a_plugin_that_fails_is_passed_over_or_refuses_as_it_declared() {
    for (path, detail) in [("/plan", 300), ("/judge", 7), ("/incoming", 7)] {
        for (on_error, expected) in [(OnError::Deny, 500), (OnError::Allow, 200)] {
            let (status, failures, _) =
                send(path, vec![Moody { name: "moody-plugin", on_error, wants: BOTH }]);
            assert_eq!((status, failures), (expected, vec![format!("moody-plugin: {detail}")]), "{path}");
        }
    }
}

#[test]
fn what_is_over_cannot_be_refused() {
    let (status, failures, _) =
        send("/late", vec![Moody { name: "moody-plugin", on_error: OnError::Deny, wants: BOTH }]);
    assert_eq!((status, failures.len()), (200, 1));
}

#[test]
fn events_are_told_in_order_of_priority_and_the_first_can_be_cancelled() {
    let two = || {
        let later = Moody { name: "later-plugin", on_error: OnError::Deny, wants: BOTH };
        vec![later, Moody { name: "earlier-plugin", on_error: OnError::Deny, wants: EARLIER }]
    };
    let (status, _, heard) = send("/x", two());
    let expected = [
        "earlier-plugin heard gateway:request:incoming",
        "later-plugin heard gateway:request:incoming",
        "later-plugin heard gateway:request:completed",
        "earlier-plugin heard gateway:request:completed",
    ];
    assert_eq!((status, heard), (200, expected.map(ToString::to_string).to_vec()));
    // Who comes later does not hear of what was cancelled before; that the request is over cannot be cancelled.
    let (status, failures, heard) = send("/cancel", two());
    assert_eq!((status, failures, heard), (403, vec![], vec![]));
    let silent = Moody { name: "silent-plugin", on_error: OnError::Deny, wants: &[] };
    assert_eq!(send("/cancel", vec![silent]).0, 200);
}

#[test]
fn settings_are_for_plugins_that_are_there() {
    let mut document = document();
    document.plugins.insert("moody-plugin".into(), crate::config::PluginSettings::default());
    let missing = Gateway::with_plugins(document.clone(), vec![]).err().map(|error| error.to_string());
    let expected =
        "`plugins.moody-plugin`: this build has no such plugin; register it, or take its settings out";
    assert_eq!(missing.as_deref(), Some(expected));
    let moody = Moody { name: "moody-plugin", on_error: OnError::Deny, wants: &[] };
    assert!(Gateway::with_plugins(document, vec![Arc::new(moody)]).is_ok());
}

/// Needs others.
struct Needy(&'static str, i32, &'static [&'static str]);

impl Plugin for Needy {
    fn name(&self) -> &'static str {
        self.0
    }
    fn priority(&self) -> i32 {
        self.1
    }
    fn dependencies(&self) -> &'static [&'static str] {
        self.2
    }
    fn plan(&self, _: &mut Flow, _: &mut Ask) -> Plan {
        Plan::Pass
    }
}

/// The order of these plugins, or why they have none.
fn order(document: &Document, plugins: Vec<Needy>) -> Result<String, String> {
    let plugins = plugins.into_iter().map(|plugin| Arc::new(plugin) as Arc<dyn Plugin>).collect();
    let registry = Registry::new(plugins, document).map_err(|error| error.to_string())?;
    Ok(registry.iter().map(Plugin::name).collect::<Vec<_>>().join(" "))
}

#[test]
fn plugins_come_after_those_that_they_need_and_by_priority_otherwise() {
    for (plugins, expected) in [
        (vec![Needy("a", 1, &[]), Needy("b", 3, &[]), Needy("c", 2, &[])], Ok("b c a")),
        // Equal priorities keep their places.
        (vec![Needy("a", 1, &[]), Needy("b", 1, &[]), Needy("c", 1, &[])], Ok("a b c")),
        // What is needed comes before, however low it is; what does not wait goes on by priority.
        (vec![Needy("a", 9, &["c"]), Needy("b", 5, &[]), Needy("c", 1, &[])], Ok("b c a")),
        (vec![Needy("a", 9, &["b", "c"]), Needy("b", 1, &["c"]), Needy("c", 0, &[])], Ok("c b a")),
        (vec![Needy("a", 2, &[]), Needy("b", 1, &["a"])], Ok("a b")),
        (vec![Needy("a", 1, &["none"])], Err("plugin `a` needs `none`; switch it on or switch `a` off")),
        (vec![Needy("a", 1, &[]), Needy("a", 2, &[])], Err("two plugins are named `a`; rename one")),
        (
            vec![Needy("a", 1, &["a"])],
            Err(
                "plugin `a` needs `a`; none of them can come first: take one dependency out, or switch them off",
            ),
        ),
        // Who only waits for the cycle is not in it.
        (
            vec![
                Needy("w", 9, &["b"]),
                Needy("a", 1, &["x", "b"]),
                Needy("b", 2, &["c"]),
                Needy("c", 3, &["a"]),
                Needy("x", 0, &[]),
            ],
            Err(
                "plugin `b` needs `c` needs `a` needs `b`; none of them can come first: take one dependency out, or switch them off",
            ),
        ),
    ] {
        assert_eq!(order(&document(), plugins), expected.map(String::from).map_err(String::from));
    }
}

#[test]
fn what_is_switched_off_is_missing_also_where_it_stays_to_guard_its_doors() {
    let mut document = document();
    let off =
        crate::config::PluginSettings { enabled: Some(false), ..crate::config::PluginSettings::default() };
    document.plugins.insert("a".into(), off);
    let missing = "plugin `b` needs `a`; switch it on or switch `b` off";
    let two = || vec![Needy("a", 2, &[]), Needy("b", 1, &["a"])];
    assert_eq!(order(&document, two()).err().as_deref(), Some(missing));
    let mut document = crate::plugins::fixture::document();
    document.auth.enabled = false;
    let needy: Arc<dyn Plugin> = Arc::new(Needy("b", 1, &["auth-plugin"]));
    let missing = "plugin `b` needs `auth-plugin`; switch it on or switch `b` off";
    let with = |document: Document| {
        let mut plugins = crate::plugins::builtin(&document).unwrap();
        plugins.push(Arc::clone(&needy));
        Registry::new(plugins, &document).err().map(|error| error.to_string())
    };
    assert_eq!(with(document.clone()).as_deref(), Some(missing));
    document.auth.enabled = true;
    assert_eq!(with(document), None);
}
