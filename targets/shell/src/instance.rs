//! What one instance of an edge build keeps between requests: the compiled gateway, what it learned about origins, its own
//! bounded memory, its counters. A Worker's isolate, a Spin component and a Lambda process each hold one.
//!
//! It is not the native server's `Process`, which has threads, signals and sockets to look after. Start at
//! [`Instance::open`], answer with [`Instance::serve`]; the platform's [`Ports`] lend it to the driver.

mod write;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
};

use acip_core::{
    Epilogue, ErrorCode, Gateway, Refusal, RequestHead, Status,
    config::{Document, Format, LogLevel, Platform, Source},
    control::{Followed, is_news, same_origins, takes_over},
    facts::Entropy,
    origins::Board,
    plugin::Failures,
    plugins::metrics::Metrics as MetricsPlugin,
    report::{MetricsFormat, StoreStatus, Subscription},
    store::{self, Batch, Memory, MemoryLimits, StoreError},
    telemetry::{
        Gauges, Owed, access,
        export::{Exporter, Outbox},
        metrics::Metrics,
        notice,
        span::Span,
    },
    trace::Recording,
};
use http::{Request, Response};

pub(crate) use write::Due;

use crate::{Body, Ports, StoreDown, Visitor, plugins, records::Records, refuse, serve, store::Store};
use write::Waiting;

/// One instance. Single-threaded.
pub struct Instance {
    target: &'static str,
    /// As it was opened.
    opened: Arc<Gateway>,
    /// In force now.
    gateway: RefCell<Arc<Gateway>>,
    /// Whether the configuration is bad, so that nothing is served.
    bad: bool,
    counts: Cell<bool>,
    /// Which stored changes of the configuration were seen.
    seen: Cell<u64>,
    /// When the store was last asked for others, unix ms.
    looked_ms: Cell<u64>,
    began_us: u64,
    board: RefCell<Board>,
    memory: RefCell<Memory>,
    metrics: RefCell<Metrics>,
    failures: RefCell<Failures>,
    exporter: RefCell<Option<Arc<Exporter>>>,
    outbox: RefCell<Outbox>,
    records: Records,
    turn: Cell<u64>,
    round_trips: Cell<u64>,
    /// Of what the store was sent, how much is among `round_trips`.
    counted: Cell<u64>,
    store_errors: Cell<u64>,
    /// What of its own counts the fleet has been told.
    told: Cell<Owed>,
    waiting: RefCell<Waiting>,
    store: RefCell<StoreStatus>,
}

/// An instance that was opened, and what the operator is to read in the platform's log.
pub struct Opened {
    /// Serves, or answers every request with 500 if the configuration is bad.
    pub instance: Instance,
    /// Lines of JSON.
    pub log: Vec<String>,
}

/// The moment of opening.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall clock, unix ms.
    pub now_ms: u64,
    /// Monotonic clock of this instance, microseconds.
    pub mono_us: u64,
}

impl Instance {
    /// Reads the variables and compiles. `GATEWAY_CONFIG` among them is the text of a document, in TOML or JSON.
    ///
    /// A bad configuration makes an instance that refuses everything: a platform that saw a failure here would start it
    /// again and again, and tell the client what only the operator should read.
    pub fn open(
        target: &'static str,
        variables: impl IntoIterator<Item = (String, String)>,
        moment: Moment,
    ) -> Opened {
        let variables: Vec<_> = variables.into_iter().collect();
        let read = read(variables).and_then(|document| {
            let origins = document.origins.len();
            let memory = memory(&document);
            let gateway = plugins::compile(document).map_err(|error| vec![error.to_string()])?;
            Ok((gateway, Board::new(origins), memory))
        });
        Self::of(target, read, moment)
    }

    /// An instance that refuses everything, because the platform found these errors in its configuration.
    pub fn refusing(target: &'static str, errors: Vec<String>, moment: Moment) -> Opened {
        Self::of(target, Err(errors), moment)
    }

    fn of(
        target: &'static str,
        read: Result<(Gateway, Board, Memory), Vec<String>>,
        moment: Moment,
    ) -> Opened {
        let mut log = Vec::new();
        let (gateway, board, memory, bad) = match read {
            Ok((gateway, board, memory)) => (gateway, board, memory, false),
            Err(errors) => {
                for error in &errors {
                    let message =
                        "the configuration is bad; every request is answered with 500 until it is corrected";
                    log.push(notice::json_line(moment.now_ms, LogLevel::Error, message, Some(error)));
                }
                let document = Document::default();
                let (origins, memory) = (document.origins.len(), memory(&document));
                #[expect(
                    clippy::expect_used,
                    reason = "the defaults compile; a test of the core holds them to it"
                )]
                let gateway = plugins::compile(document).expect("the defaults compile");
                (gateway, Board::new(origins), memory, true)
            }
        };
        let has_store = gateway.document().store.url.is_some();
        if !has_store && !bad {
            let message = "no store is configured; limits, cache and keys hold for this instance alone";
            let detail = "set `REDIS_URL`, or `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN`";
            log.push(notice::json_line(moment.now_ms, LogLevel::Warn, message, Some(detail)));
        }
        if let Some(warning) = gateway.document().otel.warning() {
            log.push(notice::json_line(moment.now_ms, LogLevel::Warn, warning, None));
        }
        let recorded = gateway.document().log.trace_record.as_ref().filter(|_| !bad);
        let recorded_bytes = recorded.map_or(0, |_| gateway.document().log.trace_max_bytes);
        let gateway = Arc::new(gateway);
        let instance = Self {
            exporter: RefCell::new(Exporter::new(gateway.document())),
            outbox: RefCell::default(),
            records: Records::new(recorded_bytes),
            target,
            bad,
            counts: Cell::new(counts(&gateway)),
            opened: Arc::clone(&gateway),
            gateway: RefCell::new(gateway),
            seen: Cell::new(0),
            looked_ms: Cell::new(0),
            began_us: moment.mono_us,
            board: RefCell::new(board),
            memory: RefCell::new(memory),
            metrics: RefCell::default(),
            failures: RefCell::default(),
            turn: Cell::new(0),
            round_trips: Cell::new(0),
            counted: Cell::new(0),
            store_errors: Cell::new(0),
            told: Cell::default(),
            waiting: RefCell::default(),
            store: RefCell::new(StoreStatus {
                mode: if has_store { "" } else { "embedded" },
                up: true,
                latency_us: None,
                error: None,
            }),
        };
        Opened { instance, log }
    }

    /// Serves one request, or refuses it because the configuration is bad.
    pub async fn serve<P: Ports>(
        &self,
        ports: &P,
        visitor: Visitor,
        request: Request<P::RequestBody>,
    ) -> Response<Body<P>> {
        if self.bad {
            let (parts, _) = request.into_parts();
            let head = RequestHead {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
            };
            let message = "the gateway is not configured; its operator finds the reason in its log";
            let refusal = Refusal::new(ErrorCode::InternalError, "configuration", message);
            return refuse(ports, &self.opened, visitor, Some(head), refusal);
        }
        serve(ports, self.gateway(), visitor, request).await
    }

    /// The gateway that is in force.
    pub fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.gateway.borrow())
    }

    /// The document that it was opened with: the store's address is in it, and whatever else no change reaches.
    pub fn document(&self) -> &Document {
        self.opened.document()
    }

    /// For [`Ports::seen`]. Bad variables are mended by nobody but their writer.
    pub fn seen(&self) -> Option<u64> {
        (!self.bad).then(|| self.seen.get())
    }

    /// For [`Ports::look_is_due`]: not where no other instance can have changed anything. Whoever is told so looks. A store that
    /// does not answer is seldom waited for by requests that do not need it.
    pub fn look_is_due(&self, now_ms: u64) -> bool {
        let pause_ms = if self.store.borrow().up { LOOK_MS } else { LOOK_AGAIN_MS };
        let due =
            self.document().store.url.is_some() && now_ms.saturating_sub(self.looked_ms.get()) >= pause_ms;
        if due {
            self.looked_ms.set(now_ms);
        }
        due
    }

    /// Notes that the store is asked for changes, where this batch does: no look is due for a while.
    fn looks(&self, batch: &Batch, now_ms: u64) {
        if batch.watches() {
            self.looked_ms.set(now_ms);
        }
    }

    /// For [`Ports::follow`]: puts what the store says was changed in force, unless another request has. Returns the
    /// gateway that is, and a line for the log where that is another one or what the store says is bad.
    pub fn follow(&self, asked: u64, text: &[u8], now_ms: u64) -> (Arc<Gateway>, Option<String>) {
        let before = self.gateway();
        if !is_news(self.seen.get(), asked, text) {
            return (before, None);
        }
        let followed = Followed::new(&before, text);
        self.seen.set(followed.seen);
        let line = followed.line(now_ms);
        if let Some(event) = followed.event() {
            self.failures.borrow_mut().note(&event, now_ms);
        }
        if !same_origins(&before, &followed.gateway) {
            // A request that is still under way counts at the place where it began, which may be another's now: a
            // moment's wrong figure in one instance, for want of a board for each request.
            let board = Followed::board(&before, &self.board.borrow(), &followed.gateway);
            self.board.replace(board);
        }
        if let Some(batch) = takes_over(&before, &followed.gateway, now_ms) {
            let _ = self.remember(&batch);
        }
        self.counts.set(counts(&followed.gateway));
        self.exporter.replace(Exporter::new(followed.gateway.document()));
        self.gateway.replace(Arc::clone(&followed.gateway));
        (followed.gateway, Some(line))
    }

    /// Which build: `cloudflare`, `spin`, `lambda`.
    pub fn target(&self) -> &'static str {
        self.target
    }

    /// For [`Ports::fleet`]: with a store that all instances share, their counters are kept there, and the pages on metrics
    /// and health ask it. Without one, this instance is all there is.
    pub fn fleet(&self) -> Option<&'static str> {
        self.document().store.url.is_some().then_some(self.target)
    }

    /// For [`Ports::turn`].
    pub fn turn(&self) -> u64 {
        self.turn.get()
    }

    /// For [`Ports::take_turn`].
    pub fn take_turn(&self) {
        self.turn.set(self.turn.get().wrapping_add(1));
    }

    /// For [`Ports::board`].
    pub fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        with(&mut self.board.borrow_mut())
    }

    /// The instance's own memory: its store where none is configured, what stands in while the store is down, and the cache that
    /// it keeps for itself.
    pub fn remember(&self, batch: &Batch) -> Vec<store::Cell> {
        self.memory.borrow_mut().apply(batch)
    }

    /// For [`Ports::ask`]: the store's answer, or that of the instance's own memory where none is configured. `say` gets a
    /// line for the platform's log where the store went away or came back.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn ask(
        &self,
        ports: &impl Ports,
        store: &impl Store,
        batch: &Batch,
        say: impl FnOnce(&str),
    ) -> Result<Vec<store::Cell>, StoreDown> {
        if self.document().store.url.is_none() {
            return Ok(self.remember(batch));
        }
        let asked_us = ports.mono_us();
        self.looks(batch, ports.now_ms());
        let answer = store.ask(batch).await;
        let took = answer.as_ref().map(|_| ports.mono_us().saturating_sub(asked_us));
        // Others may be asking at the same time: each command is counted by whoever looks first.
        let sent = store.round_trips();
        let commands = sent.saturating_sub(self.counted.replace(sent));
        if let Some(line) = self.asked(store.mode(), commands, took, ports.now_ms()) {
            say(&line);
        }
        answer.map_err(|_| StoreDown)
    }

    /// Notes how a batch fared at the store, after so many commands. Returns a line for the log where that changed.
    pub(crate) fn asked(
        &self,
        mode: &'static str,
        commands: u64,
        answer: Result<u64, &StoreError>,
        now_ms: u64,
    ) -> Option<String> {
        self.round_trips.set(self.round_trips.get().saturating_add(commands));
        let mut store = self.store.borrow_mut();
        let was_up = store.up;
        store.mode = mode;
        store.up = answer.is_ok();
        match answer {
            Ok(latency_us) => {
                store.latency_us = Some(latency_us);
                store.error = None;
                (!was_up).then(|| notice::json_line(now_ms, LogLevel::Info, "the store answers again", None))
            }
            Err(error) => {
                self.store_errors.set(self.store_errors.get().saturating_add(1));
                let error = error.to_string();
                let message = "the store does not answer; this instance's memory stands in";
                let line = was_up.then(|| notice::json_line(now_ms, LogLevel::Warn, message, Some(&error)));
                store.error = Some(error);
                line
            }
        }
    }

    /// For [`Ports::record`]: counts a request. Returns its line for the access log, if the level wants one.
    pub fn record(&self, epilogue: &Epilogue) -> Option<String> {
        let gateway = self.gateway();
        let document = gateway.document();
        if self.counts.get() {
            self.metrics.borrow_mut().record(epilogue, document);
        }
        for event in &epilogue.events {
            self.failures.borrow_mut().note(event, epilogue.record.outcome.now_ms);
        }
        access::is_written(&epilogue.record, document).then(|| access::json_line(&epilogue.record, document))
    }

    /// Takes a request's spans. What is to be sent now, all that waits up to a batch: an instance may never be called again.
    pub(crate) fn collect(&self, spans: Vec<Span>) -> Option<(Arc<Exporter>, Vec<Span>)> {
        let exporter = self.exporter.borrow().clone()?;
        let mut outbox = self.outbox.borrow_mut();
        outbox.push(spans, &exporter);
        let batch = outbox.take(&exporter);
        (!batch.is_empty()).then_some((exporter, batch))
    }

    /// Notes what came of an export of so many spans. Returns a line for the log where that changed.
    pub(crate) fn exported(&self, spans: usize, failure: Option<&str>, now_ms: u64) -> Option<String> {
        let change = self.outbox.borrow_mut().exported(spans, failure)?;
        let (level, message, detail) = change.told();
        Some(notice::json_line(now_ms, level, message, detail))
    }

    /// For [`Ports::records`]: with `TRACE_RECORD`, whatever it says, for there are no files here.
    pub fn records(&self) -> bool {
        self.records.on()
    }

    /// For [`Ports::recorded`]: lines for the platform's log. Random bytes are asked for once; without them nothing is
    /// recorded, for nothing could be hidden.
    pub fn recorded(
        &self,
        gateway: &Arc<Gateway>,
        recording: Recording,
        now_ms: u64,
        entropy: impl FnOnce() -> Option<Entropy>,
    ) -> Vec<String> {
        self.records.lines(gateway, recording, now_ms, || {
            let Entropy { request, trace, .. } = entropy()?;
            let mut key = [0; 32];
            for (byte, random) in key.iter_mut().zip(request.into_iter().chain(trace)) {
                *byte = random;
            }
            Some(key)
        })
    }

    /// For [`Ports::status`]: workers online by region, for the metrics page.
    pub(crate) fn tell_workers(&self, regions: Option<BTreeMap<String, u64>>) {
        self.metrics.borrow_mut().tell_workers(regions);
    }

    /// For [`Ports::status`]: what this instance knows of itself, and its metrics where the page shows them.
    pub fn status(&self, now_ms: u64, mono_us: u64, metrics: Option<MetricsFormat>) -> Status {
        let gauges = Gauges {
            active_connections: None,
            store_round_trips: self.round_trips.get(),
            store_errors: self.store_errors.get(),
            spans: self.outbox.borrow().counts(),
            attempts: String::new(),
            target: self.target,
        };
        Status {
            uptime_ms: mono_us.saturating_sub(self.began_us) / 1000,
            store: self.store.borrow().clone(),
            origins: self.board(|board| board.views(now_ms)),
            memory_bytes: None,
            connections: None,
            subscription: Subscription::default(),
            failing: self.failures.borrow().recent(now_ms),
            metrics: metrics.map_or_else(String::new, |format| {
                self.metrics.borrow().render(&gauges, format == MetricsFormat::OpenMetrics)
            }),
        }
    }
}

fn read(variables: Vec<(String, String)>) -> Result<Document, Vec<String>> {
    let text = variables.iter().find(|(name, _)| name == "GATEWAY_CONFIG").map(|(_, text)| text.clone());
    let source = text.as_deref().filter(|text| !text.is_empty()).map(|text| Source {
        name: "GATEWAY_CONFIG",
        text,
        format: if text.trim_start().starts_with('{') { Format::Json } else { Format::Toml },
    });
    Document::read(source, variables, Platform::Edge)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn memory(document: &Document) -> Memory {
    let entries = usize::try_from(document.cache.max_entries).unwrap_or(usize::MAX);
    let limits = MemoryLimits::default();
    // An instance has little memory, and there are many of them.
    Memory::new(MemoryLimits {
        records: limits.records / PART,
        record_bytes: limits.record_bytes / PART,
        limiters: limits.limiters / PART,
        limiter_bytes: limits.limiter_bytes / PART,
        cache_entries: entries,
        cache_bytes: limits.cache_bytes / PART,
        strings: limits.strings / PART,
        string_bytes: limits.string_bytes / PART,
        cache_prefix: format!("{}cache:", document.store.key_prefix),
        ..limits
    })
}

fn counts(gateway: &Gateway) -> bool {
    gateway.plugins().any(|plugin| plugin.name() == MetricsPlugin::NAME)
}

/// Between two looks at the store for the sake of the configuration alone.
const LOOK_MS: u64 = 1_000;
/// The same, while the store does not answer.
const LOOK_AGAIN_MS: u64 = 10_000;

/// Some 16 MiB if everything were full; the smallest platform gives 128 MB for everything.
const PART: usize = 8;

#[cfg(test)]
mod tests;
