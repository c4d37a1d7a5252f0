//! The driver's ports on the platform.

use std::{pin::Pin, rc::Rc, sync::Arc, time::SystemTime};

use acip_core::{
    Epilogue, Gateway, Report, Status,
    facts::Entropy,
    origins::Board,
    store::{Batch, Cell},
    telemetry::span::Span,
    trace::Recording,
    verdict::Attempt,
};
use acip_shell::{Failure, OriginRequest, Ports, StoreDown, Tunnelled, Upload, export};
use http::{Extensions, Response};
use spin_sdk::wasip3::{clocks::monotonic_clock, random::random, spawn};

use crate::{
    body::Streamed,
    origin,
    service::{Component, say},
};

/// The ports of this instance.
#[derive(Clone)]
pub(crate) struct SpinPorts(Rc<Component>);

impl SpinPorts {
    /// Of an instance.
    pub(crate) fn new(component: Rc<Component>) -> Self {
        Self(component)
    }
}

impl Ports for SpinPorts {
    type RequestBody = Streamed;
    type OriginBody = Streamed;
    type Sleep = Sleep;

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn mono_us(&self) -> u64 {
        mono_us()
    }

    fn entropy(&self) -> Entropy {
        let mut bytes = [0; 48];
        for (byte, random) in bytes.iter_mut().zip(random::get_random_bytes(48)) {
            *byte = random;
        }
        Entropy::from_bytes(bytes)
    }

    fn turn(&self) -> u64 {
        self.0.instance.turn()
    }

    fn take_turn(&self) {
        self.0.instance.take_turn();
    }

    fn can_upgrade(&self) -> bool {
        false
    }

    fn draining(&self) -> bool {
        false
    }

    fn fleet(&self) -> Option<&'static str> {
        self.0.instance.fleet()
    }

    fn seen(&self) -> Option<u64> {
        self.0.instance.seen()
    }

    fn look_is_due(&self) -> bool {
        self.0.instance.look_is_due(now_ms())
    }

    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let (gateway, line) = self.0.instance.follow(asked, text, now_ms());
        if let Some(line) = line {
            say(&line);
        }
        Some((self.clone(), gateway))
    }

    fn sleep(&self, ms: u64) -> Sleep {
        wait(ms)
    }

    /// Within the request's own task: the platform keeps the instance until all that was begun there has ended.
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn(task);
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        self.0.instance.ask(self, &self.0.store, batch, say).await
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(self.0.instance.remember(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Streamed>,
    ) -> Result<Response<Streamed>, Failure> {
        origin::send(&attempt.uri, request, body).await
    }

    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        // Never asked for: `can_upgrade` is false.
        std::future::ready(Tunnelled::default())
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        self.0.instance.board(with)
    }

    fn record(&self, epilogue: &Epilogue) {
        if let Some(line) = self.0.instance.record(epilogue) {
            println!("{line}");
        }
    }

    fn export(&self, spans: Vec<Span>) {
        export::behind(self, |ports| &ports.0.instance, say, spans);
    }

    fn records(&self) -> bool {
        self.0.instance.records()
    }

    fn recorded(&self, gateway: Arc<Gateway>, recording: Recording) {
        for line in self.0.instance.recorded(&gateway, recording, now_ms(), || self.entropy()) {
            say(&line);
        }
    }

    async fn status(&self, report: &Report) -> Status {
        self.0.instance.status(now_ms(), mono_us(), report.metrics())
    }
}

/// See [`wait`].
pub(crate) type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Completes after so many milliseconds.
pub(crate) fn wait(ms: u64) -> Sleep {
    Box::pin(monotonic_clock::wait_for(ms.saturating_mul(1_000_000)))
}

/// Wall clock, unix ms.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Monotonic clock of the host, microseconds.
pub(crate) fn mono_us() -> u64 {
    monotonic_clock::now() / 1000
}
