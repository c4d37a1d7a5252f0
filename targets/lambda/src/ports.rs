//! The driver's ports in a Lambda process: the native build's connections, the instance's counters and memory.

use std::{pin::Pin, rc::Rc, sync::Arc, time::Duration};

use acip_core::{
    Epilogue, Gateway, Report, Status,
    facts::Entropy,
    origins::Board,
    store::{Batch, Cell},
    telemetry::span::Span,
    trace::Recording,
    verdict::Attempt,
};
use acip_gateway::{ports::now_ms, store::StoreClient, upstream::OriginBody};
use acip_shell::{Failure, OriginRequest, Ports, StoreDown, Tunnelled, Upload, export};
use http::{Extensions, Response};

use crate::host::{Host, RequestBody, say};

/// The ports of this process.
#[derive(Clone)]
pub(crate) struct LambdaPorts(Rc<Host>);

impl LambdaPorts {
    pub(crate) fn new(host: Rc<Host>) -> Self {
        Self(host)
    }
}

impl Ports for LambdaPorts {
    type RequestBody = RequestBody;
    type OriginBody = OriginBody<RequestBody>;
    type Sleep = Pin<Box<tokio::time::Sleep>>;

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn mono_us(&self) -> u64 {
        self.0.mono_us()
    }

    fn entropy(&self) -> Entropy {
        self.0.entropy.borrow_mut().take()
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
        let (asked_us, sent) = (self.mono_us(), store.round_trips());
        instance.looks(batch, now_ms());
        let answer = store.ask(batch).await;
        let sent = store.round_trips().saturating_sub(sent);
        let took = answer.as_ref().map(|_| self.mono_us().saturating_sub(asked_us));
        if let Some(line) = instance.asked(mode(store), sent, took, now_ms()) {
            say(&line);
        }
        answer.map_err(|_| StoreDown)
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(self.0.instance.remember(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<RequestBody>,
    ) -> Result<Response<Self::OriginBody>, Failure> {
        self.0.pool.send(&attempt.uri, request, body).await
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
        self.0.instance.status(now_ms(), self.mono_us(), report.metrics())
    }
}

fn mode(store: &StoreClient) -> &'static str {
    store.status().mode
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
