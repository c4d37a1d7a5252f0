//! The driver's ports on the platform.

use std::{cell::RefCell, pin::Pin, rc::Rc, time::Duration};

use acip_core::{
    facts::Entropy,
    store::{Batch, Cell},
    verdict::Attempt,
};
use acip_shell::{EdgePorts, Failure, Instance, OriginRequest, StoreDown, Tunnelled, Upload};
use http::Response;
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

impl EdgePorts for WorkerPorts {
    type RequestBody = Streamed;
    type OriginBody = Streamed;
    type Sleep = Pin<Box<Delay>>;

    /// An isolate serves many requests at a time, and a command costs a connection. Scrapes are seconds apart.
    const GATHERS_MS: u64 = 50;

    fn instance(&self) -> &Instance {
        &self.0.isolate.instance
    }

    fn say(line: &str) {
        say(line);
    }

    fn say_access(line: &str) {
        say(line);
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    /// The platform's clocks stand still while code runs, and move when it waits.
    fn mono_us(&self) -> u64 {
        now_ms().saturating_mul(1000)
    }

    fn entropy(&self) -> Option<Entropy> {
        let mut bytes = [0; 48];
        if let Err(error) = getrandom::fill(&mut bytes) {
            say(&format!("the platform gives no random bytes: {error}"));
            return None;
        }
        Some(Entropy::from_bytes(bytes))
    }

    fn can_upgrade(&self) -> bool {
        true
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
    fn tunnel(&self) -> Tunnelled {
        Tunnelled { up: 0, down: 0, clean: true }
    }
}

/// Wall clock, unix ms.
pub(crate) fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
