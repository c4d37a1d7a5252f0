//! What one request of one gateway sees of the world.

use std::{
    cell::{Cell as Slot, RefCell},
    future::{Future, pending, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use acip_core::{
    Epilogue, Gateway, OriginFailure, Report, Status,
    control::{is_news, version_of},
    facts::Entropy,
    origins::Board,
    store::{Batch, Cell},
    verdict::Attempt,
};
use acip_shell::{Failure, OriginRequest, Ports, StoreDown, Tunnelled, Upload};
use bytes::Bytes;
use http::{Extensions, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::{
    client::{Fleet, KEYS, START_MS, record_key, tenant_of},
    control::CONFIG,
    life::Life,
    plan::Target,
    world::Timer,
};

/// The ports. Clones share what is known of the request.
#[derive(Clone)]
pub(crate) struct SimPorts {
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) gateway: usize,
    pub(crate) life: Rc<Life>,
    pub(crate) asked: Rc<Asked>,
}

/// Something that runs in an instance, which is not at rest before it ends.
pub(crate) struct Busy(SimPorts);

impl Busy {
    pub(crate) fn new(ports: &SimPorts) -> Self {
        ports.life.begins();
        Self(ports.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.life.ends(self.0.fleet.world.now_us());
    }
}

/// Who decided, and what was true in the store at that moment.
#[derive(Default)]
pub(crate) struct Asked {
    begun: Slot<bool>,
    pub(crate) by: Slot<By>,
    /// Of [`KEYS`]; none: a key without a record.
    pub(crate) key: Option<usize>,
    pub(crate) job: Option<String>,
    pub(crate) live: Slot<bool>,
    /// The moment at which the store counted it, unix ms.
    pub(crate) counted_ms: Slot<Option<u64>>,
    pub(crate) owner: RefCell<Option<Bytes>>,
    /// The document that it is decided by, and the changes that are laid over it.
    pub(crate) document: Slot<usize>,
    pub(crate) changes: RefCell<Bytes>,
}

/// Whose answer counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    #[default]
    Nobody,
    Store,
    Memory,
}

impl Asked {
    pub(crate) fn new(key: Option<usize>, job: Option<String>) -> Self {
        Self { key, job, ..Self::default() }
    }
}

impl SimPorts {
    /// For a request to this gateway, of a key in [`KEYS`], about a job.
    pub(crate) fn open(fleet: &Rc<Fleet>, gateway: usize, key: Option<usize>, job: Option<String>) -> Self {
        let instance = &fleet.gateways[gateway];
        let life = instance.lives.take(&instance.chance, fleet.world.now_us());
        let asked = Rc::new(Asked::new(key, job));
        Self { fleet: Rc::clone(fleet), gateway, life, asked }
    }

    /// The gateway that is in force in this instance: whoever gets it decides by it.
    pub(crate) fn in_force(&self) -> Arc<Gateway> {
        let document = self.fleet.gateways[self.gateway].document.get();
        let changes = self.life.changes.borrow().clone();
        self.asked.document.set(document);
        self.asked.changes.replace(changes.clone());
        self.fleet.control.gateway(document, &changes)
    }

    fn away(&self) -> u64 {
        let (fleet, longest) = (&self.fleet, self.fleet.latency_us);
        let longest = if fleet.network.per_mille(10) { longest * 10 } else { longest };
        fleet.network.between(50, longest + 51)
    }

    /// Applies at this moment, and notes what was true just before.
    fn reach(&self, batch: &Batch, decides: bool) -> Option<Vec<Cell>> {
        let (now_us, now_ms) = (self.fleet.world.now_us(), START_MS + self.fleet.world.now_ms());
        let mut redis = self.fleet.redis.borrow_mut();
        if decides {
            self.asked
                .live
                .set(self.asked.key.is_none_or(|key| redis.is_live(&record_key(KEYS[key].0), now_ms)));
            let owner =
                self.asked.job.as_ref().and_then(|job| redis.peek(&format!("gateway:job:{job}"), now_ms));
            *self.asked.owner.borrow_mut() = owner;
        }
        let stored = redis.peek(CONFIG, now_ms).unwrap_or_default();
        let row = redis.apply(batch, now_us)?;
        if decides {
            self.asked.counted_ms.set(redis.counted_ms);
        }
        let mut judge = self.fleet.judge.borrow_mut();
        if batch.watches() && batch.moved(&row).is_none() && *self.asked.changes.borrow() != stored {
            let how = format!(
                "gateway {} was let pass with version {}, and {} is stored",
                self.gateway,
                version_of(&self.asked.changes.borrow()),
                version_of(&stored)
            );
            judge.wrong(&self.fleet.world, "a request is decided by what is stored", &how);
        }
        self.fleet.control.written(batch, &row, |how| {
            judge.wrong(&self.fleet.world, "a version is one change", how);
        });
        Some(row)
    }
}

impl Ports for SimPorts {
    type RequestBody = Whole;
    type OriginBody = Whole;
    type Sleep = Timer;

    fn now_ms(&self) -> u64 {
        START_MS + self.fleet.world.now_ms() + self.fleet.gateways[self.gateway].site.ahead_ms
    }
    fn mono_us(&self) -> u64 {
        self.life.mono_us(self.fleet.world.now_us())
    }
    fn entropy(&self) -> Option<Entropy> {
        let chance = &self.fleet.gateways[self.gateway].chance;
        let mut entropy = Entropy { draw: chance.draw(), ..Entropy::default() };
        for half in [0, 8] {
            entropy.request[half..half + 8].copy_from_slice(&chance.draw().to_be_bytes());
            entropy.trace[half..half + 8].copy_from_slice(&chance.draw().to_be_bytes());
        }
        entropy.span = chance.draw().to_be_bytes();
        Some(entropy)
    }
    fn turn(&self) -> u64 {
        self.life.turn.get()
    }
    fn take_turn(&self) {
        self.life.turn.set(self.life.turn.get() + 1);
    }
    fn can_upgrade(&self) -> bool {
        matches!(self.fleet.gateways[self.gateway].site.target, Target::Native | Target::Worker)
    }
    fn draining(&self) -> bool {
        false
    }
    fn fleet(&self) -> Option<&'static str> {
        self.fleet.gateways[self.gateway].site.target.fleet()
    }
    fn sleep(&self, ms: u64) -> Timer {
        self.fleet.world.sleep_us(ms * 1000)
    }
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let busy = Busy::new(self);
        self.fleet.world.spawn(async move {
            let _busy = busy;
            task.await;
        });
    }

    fn seen(&self) -> Option<u64> {
        Some(version_of(&self.life.changes.borrow()))
    }

    fn follow(&self, asked: u64, text: &[u8]) -> Option<(Self, Arc<Gateway>)> {
        let seen = version_of(&self.life.changes.borrow());
        if is_news(seen, asked, text) {
            self.life.changes.replace(Bytes::copy_from_slice(text));
        }
        let gateway = self.in_force();
        // Another request may have brought what is newer, and nothing else may stand here.
        let changes = self.asked.changes.borrow();
        if *changes != text && version_of(&changes) <= version_of(text) {
            let how = format!("version {} in place of {}", version_of(&changes), version_of(text));
            self.fleet.judge.borrow_mut().wrong(
                &self.fleet.world,
                "a request is decided by what is stored",
                &how,
            );
        }
        Some((self.clone(), gateway))
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
        let decides = !self.asked.begun.replace(true);
        let world = &self.fleet.world;
        let (there, back) = (self.away(), self.away());
        let lost = |_| self.fleet.network.per_mille(self.fleet.loss);
        let (lost_there, lost_back) = (lost(0), lost(1));
        if lost_there || there >= TIMEOUT_US {
            if !lost_there {
                // It arrives when nobody waits for it any more.
                let (ports, batch) = (self.clone(), batch.clone());
                let late = world.sleep_us(there);
                world.spawn(async move {
                    late.await;
                    ports.reach(&batch, false);
                });
            }
            world.sleep_us(TIMEOUT_US).await;
            return Err(StoreDown);
        }
        world.sleep_us(there).await;
        let row = self.reach(batch, decides).ok_or(StoreDown)?;
        if lost_back || there + back > TIMEOUT_US {
            world.sleep_us(TIMEOUT_US - there).await;
            return Err(StoreDown);
        }
        world.sleep_us(back).await;
        if batch.moved(&row).is_some() {
            // It did nothing but say so; the request asks anew.
            self.asked.begun.set(!decides);
        } else if decides {
            self.asked.by.set(By::Store);
        }
        Ok(row)
    }

    fn fall_back(&self, batch: &Batch) -> Option<Vec<Cell>> {
        if self.asked.by.get() == By::Nobody {
            self.asked.by.set(By::Memory);
        }
        Some(self.life.memory.borrow_mut().apply(batch))
    }

    async fn send(
        &self,
        attempt: &Attempt,
        request: OriginRequest<'_>,
        mut body: Upload<Whole>,
    ) -> Result<Response<Whole>, Failure> {
        let (fleet, world) = (&self.fleet, &self.fleet.world);
        let origin = &fleet.origins[attempt.origin.0];
        world.sleep_us(fleet.network.between(50, 2_000)).await;
        if let Some(rude) = origin.away.get() {
            if rude {
                return pending().await;
            }
            return Err(Failure { kind: OriginFailure::Unreachable, sent: false });
        }
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if frame.is_err() {
                return Err(Failure { kind: OriginFailure::Broken, sent: true });
            }
        }
        let key = request.headers.get("x-api-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
        let path = attempt.uri.path();
        let answer = fleet.origin_says(request.method, path, tenant_of(key), key);
        world.sleep_us(fleet.network.between(100, 40_000)).await;
        if origin.away.get().is_some() {
            return Err(Failure { kind: OriginFailure::Broken, sent: true });
        }
        let (status, control, text) = answer;
        let breaks = fleet.network.per_mille(15);
        let mut response = Response::new(Whole { chunk: Some(text.into()), breaks });
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        if let Ok(control) = control.parse() {
            headers.insert("cache-control", control);
        }
        Ok(response)
    }

    fn tunnel(&self, _: Extensions, _: Extensions) -> impl Future<Output = Tunnelled> + 'static {
        ready(Tunnelled::default())
    }

    fn board<R>(&self, with: impl FnOnce(&mut Board) -> R) -> R {
        with(&mut self.life.board.borrow_mut())
    }

    fn record(&self, _: &Epilogue) {}

    async fn status(&self, _: &Report) -> Status {
        Status::default()
    }
}

/// A body in one piece, at whose end it may break.
pub(crate) struct Whole {
    pub(crate) chunk: Option<Bytes>,
    pub(crate) breaks: bool,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(chunk) = self.chunk.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        Poll::Ready(if std::mem::take(&mut self.breaks) { Some(Err("broken")) } else { None })
    }

    fn is_end_stream(&self) -> bool {
        self.chunk.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if self.breaks { SizeHint::default() } else { SizeHint::with_exact(length) }
    }
}

/// `REDIS_TIMEOUT`.
pub(crate) const TIMEOUT_US: u64 = 50_000;
