//! Who hears of which event, in order of priority.

use alloc::{borrow::Cow, boxed::Box, string::String, sync::Arc, vec::Vec};

use super::{OnError, Plugin};
use crate::{
    event::Event,
    flow::Flow,
    gather::sort_short,
    refusal::{ErrorCode, Refusal},
};

/// An event that a plugin wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its name of contract section 9.
    pub event: &'static str,
    /// Higher is earlier.
    pub priority: i32,
}

/// What a plugin makes of an event.
#[derive(Debug, Default)]
pub enum Reaction {
    /// Nothing more.
    #[default]
    Pass,
    /// Refuses the request, if the event is `gateway:request:incoming`: the others tell of what has happened already.
    Cancel(Refusal),
    /// It failed; see [`Plugin::on_error`].
    Failed(Cow<'static, str>),
}

/// The subscriptions of a gateway's plugins.
#[derive(Default)]
pub(crate) struct Listeners(Vec<(Subscription, Arc<dyn Plugin>)>);

impl Listeners {
    /// Of these plugins, in their order where priorities are equal. None if nobody listens.
    pub(super) fn of(plugins: &[Arc<dyn Plugin>]) -> Option<Arc<Self>> {
        let mut all: Vec<_> = plugins
            .iter()
            .flat_map(|plugin| plugin.subscriptions().iter().map(|wanted| (*wanted, Arc::clone(plugin))))
            .collect();
        sort_short(&mut all, |(one, _), (two, _)| one.priority > two.priority);
        (!all.is_empty()).then(|| Arc::new(Self(all)))
    }

    /// Tells of one event. The first refusal ends the round.
    pub(crate) fn tell(&self, event: &Event, flow: &mut Flow) -> Option<Refusal> {
        let name = event.name();
        for (_, plugin) in self.0.iter().filter(|(wanted, _)| wanted.event == name) {
            match plugin.on_event(event, flow) {
                Reaction::Pass => {}
                Reaction::Cancel(refusal) => {
                    if *event == Event::RequestIncoming {
                        return Some(refusal);
                    }
                }
                Reaction::Failed(detail) => {
                    let refusal = failed(&**plugin, detail, flow);
                    if refusal.is_some() && *event == Event::RequestIncoming {
                        return refusal;
                    }
                }
            }
        }
        None
    }
}

/// Notes that a plugin failed. A refusal if the request is not to go on without it.
pub(crate) fn failed(plugin: &dyn Plugin, detail: Cow<'static, str>, flow: &mut Flow) -> Option<Refusal> {
    flow.events.push(Event::PluginError { plugin: plugin.name(), detail: shortened(detail) });
    let message = "a plugin of this gateway failed; its operator finds the reason in its log";
    (plugin.on_error() == OnError::Deny)
        .then(|| Refusal::new(ErrorCode::InternalError, "plugin_error", message))
}

/// What a plugin says of itself may be anything.
fn shortened(detail: Cow<'static, str>) -> String {
    let end = detail.char_indices().nth(MAX_DETAIL).map_or(detail.len(), |(at, _)| at);
    let mut detail = detail.into_owned();
    detail.truncate(end);
    detail
}

/// Runs when a request is over: every event so far, in order. What listeners add is told to nobody.
pub(crate) fn tell_all(flow: &mut Flow) {
    let Some(listeners) = flow.listeners.take() else { return };
    let events = core::mem::take(&mut flow.events);
    // Told when it happened.
    for event in events.iter().filter(|event| **event != Event::RequestIncoming) {
        let _ = listeners.tell(event, flow);
    }
    let added = core::mem::replace(&mut flow.events, events);
    flow.events.extend(added);
}

/// Marks how many hooks there are, so that those added later can be told from them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark([usize; 3]);

/// Puts others in place of hooks: each gets the hook that it replaces.
pub trait Rewrap {
    /// For the response head.
    fn seal(&self, hook: super::OnSeal) -> super::OnSeal;
    /// For the case that no origin answers.
    fn fail(&self, hook: super::OnFail) -> super::OnFail;
    /// For the end.
    fn finish(&self, hook: super::OnFinish) -> super::OnFinish;
}

impl Flow {
    /// How many hooks there are.
    pub fn mark(&self) -> Mark {
        Mark([self.on_seal.len(), self.on_fail.len(), self.on_finish.len()])
    }

    /// Replaces every hook that was added after a mark.
    pub fn rewrap(&mut self, since: Mark, with: &dyn Rewrap) {
        let Mark([seal, fail, finish]) = since;
        renew(&mut self.on_seal, seal, |hook| with.seal(hook));
        renew(&mut self.on_fail, fail, |hook| with.fail(hook));
        renew(&mut self.on_finish, finish, |hook| with.finish(hook));
    }
}

fn renew<T: ?Sized>(hooks: &mut Vec<Box<T>>, from: usize, renew: impl FnMut(Box<T>) -> Box<T>) {
    if hooks.len() > from {
        let later = hooks.split_off(from);
        hooks.extend(later.into_iter().map(renew));
    }
}

const MAX_DETAIL: usize = 300;
