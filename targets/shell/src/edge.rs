//! Ports of a build that keeps an [`Instance`]: the platform lends its clock, chance, tasks and connections, the instance does
//! the rest. The native server, which has threads to share things among, implements [`Ports`] itself.

use std::{future::Future, sync::Arc};

use acip_core::{
    Epilogue, Gateway, Report, Status,
    facts::Entropy,
    origins::Board,
    store::{Batch, Cell},
    telemetry::span::Span,
    trace::Recording,
    verdict::Attempt,
};
use bytes::Bytes;
use http::{Extensions, Response};
use http_body::Body;

use crate::{Failure, Instance, OriginRequest, Ports, StoreDown, Tunnelled, Upload, export, instance::Due};

/// What differs from one such platform to the next. Whoever has it has [`Ports`]; what is named alike there is the same.
#[expect(missing_docs, reason = "the methods of `Ports` say what is wanted")]
pub trait EdgePorts: Clone + 'static {
    type RequestBody: Body<Data = Bytes> + Unpin + 'static;
    type OriginBody: Body<Data = Bytes> + Unpin + 'static;
    type Sleep: Future<Output = ()> + Unpin;

    /// How long a request's counts may wait for those of others, to be written with them in one command; 0: not at all. That takes
    /// an instance that serves many requests at a time, and tasks that go on when their request has its answer.
    const GATHERS_MS: u64 = 0;

    /// What lives between requests.
    fn instance(&self) -> &Instance;

    /// Writes a line to the platform's log.
    fn say(line: &str);

    /// Writes a request's line to where the platform wants it.
    fn say_access(line: &str);

    fn now_ms(&self) -> u64;

    fn mono_us(&self) -> u64;

    fn entropy(&self) -> Option<Entropy>;

    fn sleep(&self, ms: u64) -> Self::Sleep;

    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Cell>, StoreDown>>;

    fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Self::RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::OriginBody>, Failure>>;

    fn can_upgrade(&self) -> bool {
        false
    }

    /// By default never asked for: [`EdgePorts::can_upgrade`] is false.
    fn tunnel(&self) -> Tunnelled {
        Tunnelled::default()
    }
}

impl<P: EdgePorts> Ports for P {
    type RequestBody = P::RequestBody;
    type OriginBody = P::OriginBody;
    type Sleep = P::Sleep;

    fn now_ms(&self) -> u64 {
        EdgePorts::now_ms(self)
    }

    fn mono_us(&self) -> u64 {
        EdgePorts::mono_us(self)
    }

    fn entropy(&self) -> Option<Entropy> {
        EdgePorts::entropy(self)
    }

    fn turn(&self) -> u64 {
        self.instance().turn()
    }

    fn take_turn(&self) {
        self.instance().take_turn();
    }

    fn can_upgrade(&self) -> bool {
        EdgePorts::can_upgrade(self)
    }

    /// The platform takes requests elsewhere before it ends an instance.
    fn draining(&self) -> bool {
        false
    }

    fn fleet(&self) -> Option<&'static str> {
        self.instance().fleet()
    }

    fn seen(&self) -> Option<u64> {
        self.instance().seen()
    }

    fn look_is_due(&self) -> bool {
        self.instance().look_is_due(EdgePorts::now_ms(self))
    }

    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let (gateway, line) = self.instance().follow(asked, text, EdgePorts::now_ms(self));
        if let Some(line) = line {
            P::say(&line);
        }
        Some((self.clone(), gateway))
    }

    fn sleep(&self, ms: u64) -> Self::Sleep {
        EdgePorts::sleep(self, ms)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        EdgePorts::spawn(self, task);
    }

    fn ask(&self, batch: &Batch) -> impl Future<Output = Result<Vec<Cell>, StoreDown>> {
        EdgePorts::ask(self, batch)
    }

    fn write(&self, batch: Batch) {
        let ports = self.clone();
        let due =
            if P::GATHERS_MS == 0 { Due::Now(batch) } else { self.instance().gather(batch, P::GATHERS_MS) };
        match due {
            Due::Now(batch) => {
                EdgePorts::spawn(self, async move { ports.instance().write(&ports, batch).await });
            }
            Due::Later => EdgePorts::spawn(self, async move {
                EdgePorts::sleep(&ports, P::GATHERS_MS).await;
                if let Some(batch) = ports.instance().gathered(EdgePorts::now_ms(&ports)) {
                    ports.instance().write(&ports, batch).await;
                }
            }),
            Due::WithOthers => {}
        }
    }

    fn remember(&self, batch: &Batch) -> Vec<Cell> {
        self.instance().remember(batch)
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        Some(self.instance().remember(batch))
    }

    fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        body: Upload<Self::RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::OriginBody>, Failure>> {
        EdgePorts::send(self, attempt, request, body)
    }

    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        std::future::ready(EdgePorts::tunnel(self))
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        self.instance().board(with)
    }

    fn record(&self, epilogue: &Epilogue) {
        if let Some(line) = self.instance().record(epilogue) {
            P::say_access(&line);
        }
    }

    fn export(&self, spans: Vec<Span>) {
        export::behind(self, P::instance, P::say, spans);
    }

    fn records(&self) -> bool {
        self.instance().records()
    }

    fn recorded(&self, gateway: Arc<Gateway>, recording: Recording) {
        let now_ms = EdgePorts::now_ms(self);
        for line in self.instance().recorded(&gateway, recording, now_ms, || EdgePorts::entropy(self)) {
            P::say(&line);
        }
    }

    async fn status(&self, report: &Report) -> Status {
        self.instance().tell_workers(report.workers());
        self.instance().status(EdgePorts::now_ms(self), EdgePorts::mono_us(self), report.metrics())
    }
}
