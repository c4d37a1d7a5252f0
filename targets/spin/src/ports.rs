//! The driver's ports on the platform.

use std::{pin::Pin, rc::Rc, time::SystemTime};

use acip_core::{
    facts::Entropy,
    store::{Batch, Cell},
    verdict::Attempt,
};
use acip_shell::{EdgePorts, Failure, Instance, OriginRequest, StoreDown, Upload};
use http::Response;
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

impl EdgePorts for SpinPorts {
    type RequestBody = Streamed;
    type OriginBody = Streamed;
    type Sleep = Sleep;

    fn instance(&self) -> &Instance {
        &self.0.instance
    }

    fn say(line: &str) {
        say(line);
    }

    fn say_access(line: &str) {
        println!("{line}");
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn mono_us(&self) -> u64 {
        mono_us()
    }

    /// The host may give fewer bytes at a time than it is asked for.
    fn entropy(&self) -> Option<Entropy> {
        let mut bytes = Vec::with_capacity(48);
        while bytes.len() < 48 {
            let some = random::get_random_bytes(48 - bytes.len() as u64);
            if some.is_empty() {
                return None;
            }
            bytes.extend(some);
        }
        bytes.try_into().ok().map(Entropy::from_bytes)
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

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Streamed>,
    ) -> Result<Response<Streamed>, Failure> {
        origin::send(&attempt.uri, request, body).await
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
