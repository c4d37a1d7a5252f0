//! The driver's ports on tokio and hyper.

use std::{
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use acip_core::{
    Epilogue, Gateway, Report, Status,
    event::Listening,
    facts::Entropy,
    origins::Board,
    report::{MetricsFormat, Subscription},
    store::{Batch, Cell},
    telemetry::{Attempts, Gauges, access, metrics::Metrics, span::Span},
    trace::Recording,
    verdict::Attempt,
};
use acip_shell::{EventStream, Failure, OriginRequest, Ports, StoreDown, Tunnelled, Upload};
use http::{Extensions, Response};
use hyper::body::Incoming;

use crate::{
    process::{Live, Thread, lock},
    store::StoreClient,
    upgrade,
    upstream::OriginBody,
    wire::Watch,
};

/// The ports of one request.
#[derive(Clone)]
pub struct NativePorts {
    thread: Rc<Thread>,
    live: Arc<Live>,
    _busy: Rc<Busy>,
}

/// Says that a request is under way, to the connection and to whoever waits for the thread to come to rest.
struct Busy {
    thread: Rc<Thread>,
    watch: Option<Arc<Watch>>,
}

impl NativePorts {
    /// For one request under this gateway, on this connection.
    pub fn new(thread: &Rc<Thread>, live: Arc<Live>, watch: Option<Arc<Watch>>) -> Self {
        thread.busy.set(thread.busy.get() + 1);
        if let Some(watch) = &watch {
            watch.begin();
        }
        Self { thread: Rc::clone(thread), live, _busy: Rc::new(Busy { thread: Rc::clone(thread), watch }) }
    }
}

impl NativePorts {
    /// All threads' counters as one page.
    fn metrics(&self, report: &Report, format: MetricsFormat) -> String {
        let process = &self.thread.process;
        let (mut sum, mut attempts) = (Metrics::default(), Attempts::default());
        for thread in lock(&process.metrics).iter() {
            let counters = lock(thread);
            sum.merge(&counters.requests);
            attempts.merge(&counters.attempts);
        }
        let open_metrics = format == MetricsFormat::OpenMetrics;
        sum.tell_workers(report.workers());
        let gauges = Gauges {
            active_connections: u64::try_from(process.connections.load(Relaxed)).ok(),
            store_round_trips: process.store_round_trips.load(Relaxed),
            store_errors: process.store_errors.load(Relaxed),
            spans: lock(&process.outbox).counts(),
            attempts: attempts.render(open_metrics),
            target: "native",
        };
        sum.render(&gauges, open_metrics)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.thread.busy.set(self.thread.busy.get().saturating_sub(1));
        if let Some(watch) = &self.watch {
            watch.end();
        }
    }
}

impl Ports for NativePorts {
    type RequestBody = Incoming;
    type OriginBody = OriginBody;
    type Sleep = Pin<Box<tokio::time::Sleep>>;

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn mono_us(&self) -> u64 {
        u64::try_from(self.thread.process.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> Option<Entropy> {
        self.thread.entropy.borrow_mut().take()
    }

    fn turn(&self) -> u64 {
        self.thread.process.turn.load(Relaxed)
    }

    fn take_turn(&self) {
        self.thread.process.turn.fetch_add(1, Relaxed);
    }

    fn can_upgrade(&self) -> bool {
        true
    }

    fn draining(&self) -> bool {
        self.thread.process.draining.load(Relaxed)
    }

    /// In a cluster the batch is taken apart, and each part would have to be told: there the process's own look each half
    /// second is all.
    fn seen(&self) -> Option<u64> {
        (!self.thread.store.is_cluster()).then_some(self.live.seen)
    }

    fn look_is_due(&self) -> bool {
        matches!(self.thread.store, StoreClient::Rest(_))
            && now_ms().saturating_sub(self.thread.asked_ms.get()) >= LOOK_MS
    }

    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let live = self.thread.process.follow(asked, text);
        let gateway = Arc::clone(&live.gateway);
        Some((Self { live, ..self.clone() }, gateway))
    }

    fn sleep(&self, ms: u64) -> Self::Sleep {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        let (thread, process) = (&self.thread, &self.thread.process);
        let answer = thread.store.ask(batch).await;
        if matches!(thread.store, StoreClient::Rest(_)) {
            thread.asked_ms.set(now_ms());
        }
        let sent = thread.store.round_trips();
        process.store_round_trips.fetch_add(sent - thread.counted_round_trips.replace(sent), Relaxed);
        let up = answer.is_ok();
        if process.store_up.load(Relaxed) != up && process.store_up.swap(up, Relaxed) != up {
            match &answer {
                Ok(_) => tracing::info!("the store answers again"),
                Err(error) => {
                    tracing::warn!(%error, "the store does not answer; this process's memory stands in");
                }
            }
        }
        answer.map_err(|_| {
            process.store_errors.fetch_add(1, Relaxed);
            StoreDown
        })
    }

    fn write(&self, batch: Batch) {
        if let StoreClient::Embedded(memory) = &self.thread.store {
            let _ = lock(memory).apply(&batch);
            return;
        }
        let ports = self.clone();
        self.spawn(async move {
            if ports.ask(&batch).await.is_err() {
                let _ = ports.fall_back(&batch);
            }
        });
    }

    fn remember(&self, batch: &Batch) -> Vec<Cell> {
        lock(&self.thread.process.memory).apply(batch)
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(self.remember(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Incoming>,
    ) -> Result<Response<OriginBody>, Failure> {
        self.thread.pool.send(&attempt.uri, request, body).await
    }

    fn tunnel(&self, client: Extensions, origin: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        let idle_ms = self.live.gateway.document().upstream.stream_idle_timeout_ms;
        upgrade::join(client, origin, Duration::from_millis(idle_ms))
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        with(&mut lock(&self.live.board))
    }

    fn notes_attempts(&self) -> bool {
        self.live.counts
    }

    fn record(&self, epilogue: &Epilogue) {
        let document = self.live.gateway.document();
        if self.live.counts {
            let mut counters = lock(&self.thread.metrics);
            counters.requests.record(epilogue, document);
            counters.attempts.record(&epilogue.record, document);
        }
        for event in &epilogue.events {
            self.thread.process.note(event, epilogue.record.outcome.now_ms);
        }
        if access::is_written(&epilogue.record, document) {
            self.thread.process.access.write(&epilogue.record, document);
        }
        self.thread.process.events.tell(epilogue, document);
    }

    fn listen(&self, listening: &Listening) -> Result<EventStream, Subscription> {
        let process = &self.thread.process;
        process.events.listen(listening, process.phase.subscribe())
    }

    fn export(&self, spans: Vec<Span>) {
        let process = &self.thread.process;
        if let Some(exporter) = &self.live.exporter
            && lock(&process.outbox).push(spans, exporter)
        {
            process.batch_waits.notify_one();
        }
    }

    fn records(&self) -> bool {
        self.thread.process.recorder.is_some()
    }

    fn recorded(&self, gateway: Arc<Gateway>, recording: Recording) {
        if let Some(recorder) = &self.thread.process.recorder {
            recorder.write(gateway, recording);
        }
    }

    async fn status(&self, report: &Report) -> Status {
        let process = &self.thread.process;
        Status {
            uptime_ms: u64::try_from(process.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            store: self.thread.store.status(),
            origins: self.board(|board| board.views(now_ms())),
            memory_bytes: resident_bytes(),
            connections: u64::try_from(process.connections.load(Relaxed)).ok(),
            subscription: Subscription::default(),
            failing: lock(&process.failures).recent(now_ms()),
            metrics: report.metrics().map_or_else(String::new, |format| self.metrics(report, format)),
        }
    }
}

/// Between two looks at the store for the sake of the configuration alone.
const LOOK_MS: u64 = 1_000;

/// Wall clock, unix ms.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Resident memory, where the system tells.
fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(4096)
}
