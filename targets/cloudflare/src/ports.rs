//! The driver's ports on the platform.

use std::{cell::RefCell, pin::Pin, rc::Rc, sync::Arc, time::Duration};

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
use wasm_bindgen::JsValue;
use worker::{Context, Delay};

use crate::{
    body::Streamed,
    origin,
    worker::{Isolate, say},
};

/// The ports of one request.
#[derive(Clone)]
pub(crate) struct WorkerPorts(Rc<Request>);

struct Request {
    isolate: Rc<Isolate>,
    context: Rc<Context>,
    /// The origin's end of an upgraded connection, until the client is given it.
    socket: RefCell<Option<JsValue>>,
}

impl WorkerPorts {
    /// For one request.
    pub(crate) fn new(isolate: Rc<Isolate>, context: Rc<Context>) -> Self {
        Self(Rc::new(Request { isolate, context, socket: RefCell::default() }))
    }

    /// The origin's WebSocket, once.
    pub(crate) fn take_socket(&self) -> Option<JsValue> {
        self.0.socket.take()
    }
}

impl Ports for WorkerPorts {
    type RequestBody = Streamed;
    type OriginBody = Streamed;
    type Sleep = Pin<Box<Delay>>;

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    /// The platform's clocks stand still while code runs, and move when it waits.
    fn mono_us(&self) -> u64 {
        now_ms().saturating_mul(1000)
    }

    fn entropy(&self) -> Entropy {
        let mut bytes = [0; 48];
        if let Err(error) = getrandom::fill(&mut bytes) {
            say(&format!("the platform gives no random bytes: {error}"));
        }
        Entropy::from_bytes(bytes)
    }

    fn turn(&self) -> u64 {
        self.0.isolate.instance.turn()
    }

    fn take_turn(&self) {
        self.0.isolate.instance.take_turn();
    }

    fn can_upgrade(&self) -> bool {
        true
    }

    fn draining(&self) -> bool {
        false
    }

    fn fleet(&self) -> Option<&'static str> {
        self.0.isolate.instance.fleet()
    }

    fn seen(&self) -> Option<u64> {
        self.0.isolate.instance.seen()
    }

    fn look_is_due(&self) -> bool {
        self.0.isolate.instance.look_is_due(now_ms())
    }

    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let (gateway, line) = self.0.isolate.instance.follow(asked, text, now_ms());
        if let Some(line) = line {
            say(&line);
        }
        Some((self.clone(), gateway))
    }

    fn sleep(&self, ms: u64) -> Self::Sleep {
        // The platform's timers take 31 bits.
        Box::pin(Delay::from(Duration::from_millis(ms.min(i32::MAX as u64))))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.context.wait_until(task);
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        let isolate = &self.0.isolate;
        isolate.instance.ask(self, &isolate.store, batch, say).await
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(self.0.isolate.instance.remember(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Streamed>,
    ) -> Result<Response<Streamed>, Failure> {
        let (response, socket) = origin::send(&attempt.uri, request, body).await?;
        // An export of spans has none, and must not take another request's away.
        if socket.is_some() {
            self.0.socket.replace(socket);
        }
        Ok(response)
    }

    /// The platform joins the two ends itself, and tells nobody what went through.
    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        std::future::ready(Tunnelled { up: 0, down: 0, clean: true })
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        self.0.isolate.instance.board(with)
    }

    fn record(&self, epilogue: &Epilogue) {
        if let Some(line) = self.0.isolate.instance.record(epilogue) {
            say(&line);
        }
    }

    fn export(&self, spans: Vec<Span>) {
        export::behind(self, |ports| &ports.0.isolate.instance, say, spans);
    }

    fn records(&self) -> bool {
        self.0.isolate.instance.records()
    }

    fn recorded(&self, gateway: Arc<Gateway>, recording: Recording) {
        for line in self.0.isolate.instance.recorded(&gateway, recording, now_ms(), || self.entropy()) {
            say(&line);
        }
    }

    async fn status(&self, report: &Report) -> Status {
        self.0.isolate.instance.status(now_ms(), self.mono_us(), report.metrics())
    }
}

/// Wall clock, unix ms.
pub(crate) fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
