//! A plugin whose panics are its own failures. Where a panic ends the process at once (WebAssembly), there is nothing to
//! catch, and the platform begins anew.

use std::{
    any::Any,
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use acip_core::{
    Flow,
    event::Event,
    plugin::{
        Judge, OnError, OnFail, OnFinish, OnSeal, Plan, Plugin, Reaction, Rewrap, Ruling, Subscription,
    },
    store::Ask,
};

/// The plugin.
pub struct Guarded(Arc<dyn Plugin>);

impl Guarded {
    /// Guards one.
    pub fn new(plugin: Arc<dyn Plugin>) -> Self {
        Self(plugin)
    }
}

// A method that is left out here would be the trait's own, whatever the plugin says.
#[deny(clippy::missing_trait_methods)]
impl Plugin for Guarded {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn priority(&self) -> i32 {
        self.0.priority()
    }

    fn dependencies(&self) -> &'static [&'static str] {
        self.0.dependencies()
    }

    fn stays(&self) -> bool {
        self.0.stays()
    }

    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    fn version(&self) -> Cow<'static, str> {
        self.0.version()
    }

    fn fault(&self) -> Option<String> {
        guarded(|| self.0.fault()).unwrap_or_else(Some)
    }

    fn implementation(&self) -> &'static str {
        self.0.implementation()
    }

    fn is_enabled(&self) -> bool {
        self.0.is_enabled()
    }

    fn on_error(&self) -> OnError {
        self.0.on_error()
    }

    fn subscriptions(&self) -> &'static [Subscription] {
        self.0.subscriptions()
    }

    fn on_event(&self, event: &Event, flow: &mut Flow) -> Reaction {
        guarded(|| self.0.on_event(event, flow)).unwrap_or_else(|why| Reaction::Failed(why.into()))
    }

    fn turned_away(&self, flow: &mut Flow) {
        if let Err(why) = guarded(|| self.0.turned_away(flow)) {
            self.note(flow, why);
        }
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        let (before, name) = (flow.mark(), self.name());
        let plan = guarded(|| self.0.plan(flow, ask));
        flow.rewrap(before, &Hooks(name));
        match plan {
            Ok(Plan::Judge(judge)) => Plan::Judge(guarded_judge(name, judge)),
            Ok(plan) => plan,
            Err(why) => Plan::Failed(why.into()),
        }
    }
}

impl Guarded {
    fn note(&self, flow: &mut Flow, detail: String) {
        flow.events.push(Event::PluginError { plugin: self.name(), detail });
    }
}

fn guarded_judge(name: &'static str, judge: Judge) -> Judge {
    Box::new(move |flow, answers| {
        let before = flow.mark();
        let ruling = guarded(|| judge(flow, answers));
        flow.rewrap(before, &Hooks(name));
        ruling.unwrap_or_else(|why| Ruling::Failed(why.into()))
    })
}

/// Hooks of a plugin, by its name. One that panics is passed over: the request was let through before.
struct Hooks(&'static str);

impl Rewrap for Hooks {
    fn seal(&self, hook: OnSeal) -> OnSeal {
        let plugin = self.0;
        Box::new(move |flow, draft| {
            if let Err(detail) = guarded(|| hook(flow, draft)) {
                flow.events.push(Event::PluginError { plugin, detail });
            }
        })
    }

    fn fail(&self, hook: OnFail) -> OnFail {
        let plugin = self.0;
        Box::new(move |flow, failure| {
            guarded(|| hook(flow, failure)).unwrap_or_else(|detail| {
                flow.events.push(Event::PluginError { plugin, detail });
                None
            })
        })
    }

    fn finish(&self, hook: OnFinish) -> OnFinish {
        let plugin = self.0;
        Box::new(move |flow, outcome| {
            if let Err(detail) = guarded(|| hook(flow, outcome)) {
                flow.events.push(Event::PluginError { plugin, detail });
            }
        })
    }
}

/// What a panic said is in the log of the process, by its hook; here only that there was one, for a message may hold what the
/// request held.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What it was changing is one request's; that is refused, or goes on with what was complete.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload: Box<dyn Any + Send>| {
        // A payload that panics when it is dropped would undo all this.
        std::mem::forget(payload);
        "it panicked".to_owned()
    })
}
