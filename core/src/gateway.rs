//! The gateway as a value: compile a document, begin a request, decide on the store's answer. Each call
//! consumes what the one before returned, so a wrong order does not compile.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::mem;

use crate::{
    arrival::Arrival,
    command::Task,
    config::{ConfigErrors, Document},
    control,
    departure::{self, Departure},
    event::{Event, Publisher},
    facts::Facts,
    flow::Flow,
    plugin::{Answers, Judge, Plan, Plugin, Registry, Ruling, failed},
    plugins::{self, metrics::Metrics},
    refusal::Refusal,
    report::Report,
    request::{Request, RequestHead},
    routes::RouteKind,
    store::{Ask, Batch, Op},
    telemetry::{Owed, fleet::Fleet, span::Tracer},
    verdict::{Answer, Claim, Closing, Refresh, Reply, Serve, Verdict},
};

/// A compiled document: immutable, swapped as a whole.
pub struct Gateway {
    pub(crate) document: Document,
    /// What file and environment say; the document is that with what was changed since laid over it.
    base: Arc<Document>,
    /// Which stored changes those are; 0: none.
    version: u64,
    /// Where the store has them.
    config_key: String,
    makes: Makes,
    pub(crate) registry: Registry,
    pub(crate) arrival: Arrival,
    pub(crate) departure: Departure,
    /// None where metrics are off.
    fleet: Option<Arc<Fleet>>,
    /// None where no event is published.
    publisher: Option<Arc<Publisher>>,
    /// None where traces are off.
    tracer: Option<Arc<Tracer>>,
}

/// Makes the plugins for a document: at the start, and anew whenever the configuration changes.
pub type Makes = Arc<dyn Fn(&Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> + Send + Sync>;

/// Why a document does not compile although each of its values is valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Two plugins with one name.
    #[error("two plugins are named `{name}`; rename one")]
    DuplicatePlugin {
        /// The name.
        name: &'static str,
    },
    /// A dependency is missing.
    #[error("plugin `{name}` needs `{needed}`; switch it on or switch `{name}` off")]
    MissingDependency {
        /// Who needs.
        name: &'static str,
        /// What is needed.
        needed: &'static str,
    },
    /// Plugins that need each other.
    #[error("plugin `{cycle}`; none of them can come first: take one dependency out, or switch them off")]
    DependencyCycle {
        /// Their names, the first of them once more at the end, with "needs" between.
        cycle: String,
    },
    /// Settings for a plugin that this build does not have.
    #[error("`plugins.{name}`: this build has no such plugin; register it, or take its settings out")]
    UnknownPlugin {
        /// Its name.
        name: String,
    },
    /// A plugin that is not built in cannot be made from its settings.
    #[error("`plugins.{name}`: {reason}")]
    Plugin {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A route pattern that cannot be matched, or that another one hides.
    #[error("route `{pattern}`: {reason}")]
    Route {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// An origin whose URL cannot stand in a request.
    #[error("origin `{name}`: its URL cannot stand in a request; write `http://host:port`")]
    Origin {
        /// Its name.
        name: String,
    },
}

/// What follows from the head alone.
pub enum Step {
    /// No store needed: preflight, 404, bad head, the gateway's own pages.
    Settled(Verdict),
    /// The store is to be asked, once.
    Asking(Exchange),
}

/// A request that waits for the store's row.
pub struct Exchange {
    gateway: Arc<Gateway>,
    flow: Box<Flow>,
    batch: Batch,
    /// Each with its plugin's place in the order.
    judges: Vec<(usize, Judge)>,
}

impl Step {
    /// Whether an origin was chosen, so that [`Facts::turn`] is used up. A shell that counted every request would
    /// let probes and preflights skew who is next.
    pub fn takes_turn(&self) -> bool {
        match self {
            Self::Settled(verdict) => matches!(verdict, Verdict::Forward(_)),
            Self::Asking(exchange) => !exchange.flow.outgoing.origins.is_empty(),
        }
    }
}

impl Gateway {
    /// Compiles a document with the built-in plugins.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compile(document: Document) -> Result<Self, CompileError> {
        Self::compile_with(document, Arc::new(plugins::builtin))
    }

    /// Compiles a document with the plugins that `makes` gives, the built-in ones among them if it wants.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn compile_with(document: Document, makes: Makes) -> Result<Self, CompileError> {
        let base = Arc::new(document.clone());
        Self::build(document, base, 0, makes)
    }

    /// Compiles a document with these plugins and no others.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn with_plugins(document: Document, plugins: Vec<Arc<dyn Plugin>>) -> Result<Self, CompileError> {
        Self::compile_with(document, Arc::new(move |_| Ok(plugins.clone())))
    }

    /// The same gateway over a changed document.
    pub(crate) fn overlaid(&self, document: Document, version: u64) -> Result<Self, CompileError> {
        Self::build(document, Arc::clone(&self.base), version, Arc::clone(&self.makes))
    }

    fn build(
        document: Document,
        base: Arc<Document>,
        version: u64,
        makes: Makes,
    ) -> Result<Self, CompileError> {
        let registry = Registry::new(makes(&document)?, &document)?;
        let arrival = Arrival::compile(&document)?;
        let departure = Departure::compile(&document)?;
        let counts = registry.iter().any(|plugin| plugin.name() == Metrics::NAME);
        let fleet = counts.then(|| Arc::new(Fleet::new(&document)));
        let publisher = Publisher::new(&document).map(Arc::new);
        let tracer = Tracer::new(&document).map(Arc::new);
        let config_key = control::key(&document);
        Ok(Self {
            document,
            config_key,
            base,
            version,
            makes,
            registry,
            arrival,
            departure,
            fleet,
            publisher,
            tracer,
        })
    }

    /// This gateway with what the store says was changed: the text at [`control::key`].
    ///
    /// # Errors
    /// All that is wrong with it; this gateway goes on as it is.
    pub fn follow(&self, text: &[u8]) -> Result<Self, Vec<String>> {
        let told = |error: &dyn core::fmt::Display| Vec::from([error.to_string()]);
        let stored = control::Stored::parse(text).map_err(|error| told(&error))?;
        let lines = |errors: ConfigErrors| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let document = control::lay(&self.base, &stored.now.overlay).map_err(lines)?;
        self.overlaid(document, stored.now.version).map_err(|error| told(&error))
    }

    /// What file and environment say, without what was changed since.
    pub fn base(&self) -> &Document {
        &self.base
    }

    /// Which stored changes are in force; 0: none.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All plugins, those that are off at the end.
    pub fn all_plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.registry.iter().chain(self.registry.inactive())
    }

    /// A plugin, whether it is on or off.
    pub fn plugin(&self, name: &str) -> Option<&dyn Plugin> {
        self.all_plugins().find(|plugin| plugin.name() == name)
    }

    /// The document it was compiled from.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The active plugins, highest priority first.
    pub fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.registry.iter()
    }

    /// Reads the head and asks every plugin for its questions.
    pub fn begin(self: &Arc<Self>, head: RequestHead, facts: Facts) -> Step {
        let now_ms = facts.now_ms;
        let (request, refusal) = self.arrival.read(head, facts);
        let (mut flow, cancelled) = self.flow(request);
        if let Some(refusal) = refusal.or(cancelled) {
            return Step::Settled(self.turned_away(flow, refusal));
        }
        flow.planned = true;
        let mut ask = Ask::new(now_ms);
        if let Some(seen) = flow.request.facts.seen {
            let _ = ask.watch(self.config_key.clone(), seen);
        }
        let mut judges = Vec::new();
        for (place, plugin) in self.registry.iter().enumerate() {
            match plugin.plan(&mut flow, &mut ask) {
                Plan::Pass => {}
                Plan::Refuse(refusal) => return Step::Settled(self.refuse(flow, refusal)),
                Plan::Answer(answer) => return Step::Settled(self.reply(flow, answer, None)),
                Plan::Judge(judge) => judges.push((place, judge)),
                Plan::Failed(detail) => {
                    if let Some(refusal) = failed(plugin, detail, &mut flow) {
                        return Step::Settled(self.refuse(flow, refusal));
                    }
                }
            }
        }
        let batch = ask.into_batch();
        flow.asked = batch.needs_store();
        let exchange = Exchange { gateway: Arc::clone(self), flow, batch, judges };
        if exchange.batch.only_watches() {
            let answers = Answers { cells: crate::store::Cells(&[]), source: crate::plugin::Source::Store };
            return Step::Settled(exchange.decide(answers));
        }
        Step::Asking(exchange)
    }

    /// What publishes events; none where none are to be published.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.publisher.as_deref()
    }

    /// What tells the fleet of a target what one of its instances owes it; none where nothing is counted.
    pub fn settles(&self, target: &str, owed: Owed) -> Option<Op> {
        Some(self.fleet.as_ref()?.settle(target, owed)).filter(|_| owed != Owed::default())
    }

    /// Refuses a request whose head is not to be trusted, for a reason that the shell found while reading it. `head`
    /// is what can be said of it; nothing is asked and nothing is forwarded.
    pub fn turn_away(&self, head: RequestHead, facts: Facts, refusal: Refusal) -> Verdict {
        let (request, _) = self.arrival.read(head, facts);
        let (flow, _) = self.flow(request);
        self.turned_away(flow, refusal)
    }

    /// A request's start, and whether a listener cancels it there.
    fn flow(&self, request: Request) -> (Box<Flow>, Option<Refusal>) {
        let mut flow = Box::new(Flow::new(request));
        flow.events.push(Event::RequestIncoming);
        if flow.request.trace.is_sampled() {
            flow.tracer = self.tracer.clone();
        }
        flow.fleet = flow.request.facts.fleet.and_then(|_| self.fleet.clone());
        flow.publisher = flow.request.facts.fleet.and_then(|_| self.publisher.clone());
        flow.listeners = self.registry.listeners();
        let listeners = flow.listeners.clone();
        let cancelled = listeners.and_then(|listeners| listeners.tell(&Event::RequestIncoming, &mut flow));
        (flow, cancelled)
    }

    fn turned_away(&self, mut flow: Box<Flow>, refusal: Refusal) -> Verdict {
        self.registry.iter().for_each(|plugin| plugin.turned_away(&mut flow));
        self.refuse(flow, refusal)
    }

    pub(crate) fn refuse(&self, flow: Box<Flow>, refusal: Refusal) -> Verdict {
        Verdict::Reply(self.refused(flow, refusal))
    }

    pub(crate) fn refused(&self, flow: Box<Flow>, refusal: Refusal) -> Reply {
        let reason = refusal.reason;
        let answer = refusal.render(&flow.request.id, flow.request.wants_problem);
        self.conclude(flow, answer, Some(reason))
    }

    fn reply(&self, flow: Box<Flow>, answer: Answer, refused: Option<&'static str>) -> Verdict {
        Verdict::Reply(self.conclude(flow, answer, refused))
    }

    /// Adds the common response fields and closes the plugin chain.
    pub(crate) fn conclude(
        &self,
        flow: Box<Flow>,
        mut answer: Answer,
        refused: Option<&'static str>,
    ) -> Reply {
        let own = refused.is_some() || flow.request.route.kind == RouteKind::Own;
        departure::dress(&self.departure, &flow, own, &mut answer.headers);
        let status = answer.status;
        Reply { answer, closing: Closing { flow, status, refused } }
    }
}

impl Exchange {
    /// Everything every plugin wants, as one store round trip.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Undoes the beginning, so that the request can begin anew with another gateway: see [`Batch::moved`].
    pub fn undo(self) -> (RequestHead, Facts) {
        let Request { head, facts, .. } = self.flow.request;
        (head, facts)
    }

    /// The client left before the store answered.
    pub fn abandon(self) -> Closing {
        Closing::left(self.flow)
    }

    /// Judges the row, in order of priority.
    pub fn decide(self, answers: Answers<'_>) -> Verdict {
        let Self { gateway, mut flow, judges, .. } = self;
        if answers.source != crate::plugin::Source::Store {
            flow.events.push(Event::HealthDegraded);
        }
        for (place, judge) in judges {
            match judge(&mut flow, &answers) {
                Ruling::Pass => {}
                Ruling::Refuse(refusal) => return gateway.refuse(flow, refusal),
                Ruling::Answer(answer) => return gateway.reply(flow, answer, None),
                Ruling::Failed(detail) => {
                    let plugin = gateway.registry.at(place);
                    if let Some(refusal) = plugin.and_then(|plugin| failed(plugin, detail, &mut flow)) {
                        return gateway.refuse(flow, refusal);
                    }
                }
                Ruling::Serve { answer, refresh } => return gateway.serve(flow, answer, refresh),
            }
        }
        if let Some(command) = flow.command.take() {
            return Verdict::Command(Task { gateway, flow, command });
        }
        if let Some(page) = flow.page.take() {
            return Verdict::Report(Report { gateway, flow, page });
        }
        departure::forward(&gateway, flow)
    }
}

impl Gateway {
    fn serve(self: &Arc<Self>, mut flow: Box<Flow>, answer: Answer, refresh: Option<Claim>) -> Verdict {
        let refresh = refresh.and_then(|claim| {
            let (now_ms, hold_ms) = (flow.request.facts.now_ms, flow.request.route.timeout_ms);
            // The background request takes the hooks along; the client's own accounts close with none.
            let mut behind = Box::new(Flow::new(flow.request.clone()));
            behind.identity = flow.identity.clone();
            behind.fleet = flow.fleet.clone();
            behind.publisher = flow.publisher.clone();
            behind.listeners = flow.listeners.clone();
            behind.tracer = flow.tracer.clone();
            behind.behind = true;
            behind.request.trace = flow.request.trace.behind();
            behind.outgoing = mem::take(&mut flow.outgoing);
            behind.on_seal = mem::take(&mut flow.on_seal);
            behind.on_fail = mem::take(&mut flow.on_fail);
            behind.on_finish = mem::take(&mut flow.on_finish);
            behind.on_finish(Refresh::release(claim.clone()));
            match departure::forward(self, behind) {
                Verdict::Forward(forward) => Some(Refresh::new(forward, claim, now_ms, hold_ms)),
                _ => None,
            }
        });
        Verdict::Serve(Serve { reply: self.conclude(flow, answer, None), refresh })
    }
}
