//! The driver's ports in a Lambda process: the native build's connections, the instance's counters and memory.

use std::{pin::Pin, rc::Rc, time::Duration};

use acip_core::{
    facts::Entropy,
    store::{Batch, Cell},
    verdict::Attempt,
};
use acip_gateway::{ports::now_ms, upstream::OriginBody};
use acip_shell::{EdgePorts, Failure, Instance, OriginRequest, StoreDown, Upload};
use http::Response;

use crate::host::{Host, RequestBody, say};

/// The ports of this process.
#[derive(Clone)]
pub(crate) struct LambdaPorts(Rc<Host>);

impl LambdaPorts {
    pub(crate) fn new(host: Rc<Host>) -> Self {
        Self(host)
    }
}

impl EdgePorts for LambdaPorts {
    type RequestBody = RequestBody;
    type OriginBody = OriginBody<RequestBody>;
    type Sleep = Pin<Box<tokio::time::Sleep>>;

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
        self.0.mono_us()
    }

    fn entropy(&self) -> Option<Entropy> {
        self.0.entropy.borrow_mut().take()
    }

    fn sleep(&self, ms: u64) -> Self::Sleep {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let under_way = UnderWay::new(&self.0);
        tokio::task::spawn_local(async move {
            let _under_way = under_way;
            task.await;
        });
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        let instance = &self.0.instance;
        let Some(store) = &self.0.store else {
            return Ok(instance.remember(batch));
        };
        instance.ask(self, store, batch, say).await
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<RequestBody>,
    ) -> Result<Response<Self::OriginBody>, Failure> {
        self.0.pool.send(&attempt.uri, request, body).await
    }
}

/// A task that the process does not rest before.
struct UnderWay(Rc<Host>);

impl UnderWay {
    fn new(host: &Rc<Host>) -> Self {
        host.task_begins();
        Self(Rc::clone(host))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.task_ends();
    }
}
