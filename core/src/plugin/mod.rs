//! What a plugin is: one `plan` that reads the request, asks the batch for slots, and returns a closure that
//! judges once they are filled. Closures carry a plugin's state of one request from step to step, so there is no
//! bag of extensions to look things up in.

mod failures;
mod listen;
mod order;
#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, boxed::Box, string::String, sync::Arc, vec::Vec};
use bytes::Bytes;

use crate::{
    config::{Document, is_custom},
    event::Event,
    flow::Flow,
    gateway::CompileError,
    gather::sort_short,
    outcome::Outcome,
    refusal::Refusal,
    store::{Ask, Cells, Op},
    verdict::{Answer, Claim, OriginFailure, ResponseDraft},
};

pub use failures::Failures;
pub(crate) use listen::{Listeners, failed, tell_all};
pub use listen::{Mark, Reaction, Rewrap, Subscription};

/// A unit of policy. Built-in ones stand in [`crate::plugins`].
pub trait Plugin: Send + Sync {
    /// Unique name, `…-plugin`.
    fn name(&self) -> &'static str;

    /// Place in the order; higher is earlier, but for what [`Plugin::dependencies`] asks.
    fn priority(&self) -> i32;

    /// Names of plugins that must be active too. They come before it, whatever the priorities are.
    fn dependencies(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it stays in the order when the document switches it off: one that guards doors reads the switch itself.
    fn stays(&self) -> bool {
        false
    }

    /// Whether it stays and is switched off all the same: what it does then is to guard its doors.
    fn is_idle(&self) -> bool {
        false
    }

    /// Its version, as `GET /gateway/plugins` shows it: the gateway's, unless it has one of its own.
    fn version(&self) -> Cow<'static, str> {
        Cow::Borrowed(env!("CARGO_PKG_VERSION"))
    }

    /// Why it is not what its settings ask for, where something outside of requests went wrong and has not been mended, such
    /// as a file that changed for the worse. What it was before goes on. Asked for now and then, and for pages.
    fn fault(&self) -> Option<String> {
        None
    }

    /// Which implementation fills the slot, as `GET /gateway/plugins` shows it.
    fn implementation(&self) -> &'static str {
        "builtin"
    }

    /// Whether its own switch in the document is on; `[plugins.NAME]` goes over it.
    fn is_enabled(&self) -> bool {
        true
    }

    /// What becomes of a request for which it fails: for which it says so, panics where that can be caught, or takes longer
    /// than it may.
    fn on_error(&self) -> OnError {
        OnError::Deny
    }

    /// The events it wants to hear of.
    fn subscriptions(&self) -> &'static [Subscription] {
        &[]
    }

    /// Hears of an event. `gateway:request:incoming` is told before anybody plans and can be cancelled; all others are told
    /// when the request is over, in the order in which they happened. What it adds to [`Flow::writes`] reaches the store.
    fn on_event(&self, _event: &Event, _flow: &mut Flow) -> Reaction {
        Reaction::Pass
    }

    /// Adds what even a refusal should carry whose head was found bad before any plugin planned.
    fn turned_away(&self, _flow: &mut Flow) {}

    /// Reads the request and asks; called once per request, in order of priority.
    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan;
}

/// What becomes of a request for which a plugin failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes on as if the plugin had had nothing to say.
    Allow,
    /// It is refused.
    #[default]
    Deny,
}

/// What a plugin made of the request before the store was asked.
pub enum Plan {
    /// Nothing to do.
    Pass,
    /// Settled without the store; later plugins are not asked.
    Refuse(Refusal),
    /// Answered without the store.
    Answer(Answer),
    /// Wants to judge the store's answer.
    Judge(Judge),
    /// It failed, and why; nothing of the request. See [`Plugin::on_error`].
    Failed(Cow<'static, str>),
}

/// Judges the filled slots.
pub type Judge = Box<dyn FnOnce(&mut Flow, &Answers<'_>) -> Ruling + Send>;

/// The store's answer as judges see it.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// The row.
    pub cells: Cells<'a>,
    /// Whose row it is.
    pub source: Source,
}

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The shared store, or the embedded one where that is the configured store.
    Store,
    /// The store is down; this is the process's own bounded memory. Counts are this process's alone and no
    /// record in it can prove or disprove a credential.
    Fallback,
    /// The store is down and nothing stands in: every cell is nil.
    Down,
}

/// What a judge says.
pub enum Ruling {
    /// Go on.
    Pass,
    /// Refused.
    Refuse(Refusal),
    /// Answered by the gateway.
    Answer(Answer),
    /// It failed, and why; nothing of the request. See [`Plugin::on_error`].
    Failed(Cow<'static, str>),
    /// Answered from the cache, perhaps with a refresh behind the client's back.
    Serve {
        /// The stored answer.
        answer: Answer,
        /// What stands while the origin is asked anew in the background, so that one request at a time does it.
        refresh: Option<Claim>,
    },
}

/// Runs when the origin's response head is there, in the order in which hooks were added.
pub type OnSeal = Box<dyn FnOnce(&mut Flow, &mut ResponseDraft) + Send>;

/// Runs when no origin answered; the first hook that returns an answer (stale-if-error) wins.
pub type OnFail = Box<dyn FnOnce(&mut Flow, &OriginFailure) -> Option<Answer> + Send>;

/// Runs when a body that was to be held until the store is told ([`crate::Seal::hold_until_written`]) turns out to be longer than
/// that, with what [`Outcome::response_begun`] will be. What it returns is written before the client gets any of the body.
pub type OnBegun = Box<dyn FnOnce(&Flow, &Bytes) -> Option<Op> + Send>;

/// Runs when everything is over, whatever happened, exactly once.
pub type OnFinish = Box<dyn FnOnce(&mut Flow, &Outcome) + Send>;

/// The active plugins of a gateway, in order.
#[derive(Clone, Default)]
pub struct Registry {
    active: Vec<Arc<dyn Plugin>>,
    inactive: Vec<Arc<dyn Plugin>>,
    listeners: Option<Arc<Listeners>>,
}

impl Registry {
    /// Leaves out plugins that the document switches off and sorts the others: dependencies before those that need them,
    /// higher priorities first among those that are free to come.
    ///
    /// # Errors
    /// Two plugins with one name; a dependency that is missing or switched off; plugins that need each other; settings for a
    /// plugin that is not there.
    pub fn new(plugins: Vec<Arc<dyn Plugin>>, document: &Document) -> Result<Self, CompileError> {
        let settings = |name: &str| document.plugins.get(name);
        let unknown = |name: &&String| !plugins.iter().any(|plugin| plugin.name() == **name);
        if let Some(name) = document.plugins.keys().filter(|name| is_custom(name)).find(unknown) {
            return Err(CompileError::UnknownPlugin { name: name.clone() });
        }
        let is_on = |plugin: &Arc<dyn Plugin>| {
            let switch = settings(plugin.name()).and_then(|it| it.enabled);
            plugin.stays() || switch.unwrap_or(plugin.is_enabled())
        };
        let (mut active, inactive): (Vec<_>, Vec<_>) = plugins.into_iter().partition(is_on);
        let priority = |plugin: &Arc<dyn Plugin>| {
            settings(plugin.name()).and_then(|it| it.priority).unwrap_or(plugin.priority())
        };
        sort_short(&mut active, |one, two| priority(one) > priority(two));
        let active = order::sorted(active)?;
        let listeners = Listeners::of(&active);
        Ok(Self { active, inactive, listeners })
    }

    /// The active plugin at a place of the order.
    pub(crate) fn at(&self, place: usize) -> Option<&dyn Plugin> {
        self.active.get(place).map(AsRef::as_ref)
    }

    /// Who hears of events; none if nobody does.
    pub(crate) fn listeners(&self) -> Option<Arc<Listeners>> {
        self.listeners.clone()
    }

    /// The plugins that are switched off.
    pub fn inactive(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.inactive.iter().map(AsRef::as_ref)
    }

    /// The active plugins, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.active.iter().map(AsRef::as_ref)
    }
}
