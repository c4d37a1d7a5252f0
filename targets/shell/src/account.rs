//! The accounts of one request: whatever happens to it, they are closed exactly once.
//!
//! An [`Account`] travels with the request through the driver and then with the response's body. If either is dropped on the
//! way, the client has left, and the account says so.

use std::{mem, sync::Arc};

use acip_core::{
    Epilogue, Exchange, Forward, Gateway, OriginFailure, Outcome,
    command::{Inquiry, Task},
    origins::{Observation, OriginId},
    outcome::{End, Try, TryEnd},
    store::Batch,
    trace::{Origin, Recording},
    verdict::Closing,
};
use bytes::Bytes;
use http::StatusCode;

use crate::{
    capture::Capture,
    homes,
    ports::{Ports, Shared},
    upload::Source,
};

pub(crate) struct Account<P: Ports> {
    pub(crate) ports: P,
    stage: Stage,
    pub(crate) began_us: u64,
    pub(crate) store_us: u64,
    pub(crate) store_at_us: u64,
    pub(crate) origin_us: u64,
    pub(crate) upload: Option<Shared<Source<P::RequestBody>>>,
    pub(crate) response_bytes: u64,
    pub(crate) capture: Capture,
    /// What a body that is longer than what is held begins with.
    pub(crate) begun: Option<Bytes>,
    /// Whether the store gave no answer before the verdict.
    pub(crate) store_failed: bool,
    in_flight: Option<Flight>,
    answered: Option<OriginId>,
    failed: Vec<OriginId>,
    /// Whether each attempt is noted.
    noted: bool,
    tries: Vec<Try>,
    /// What is being recorded, where anything is.
    pub(crate) recording: Option<Box<(Arc<Gateway>, Recording)>>,
}

/// How far the request has come; each can be closed.
#[derive(Default)]
pub(crate) enum Stage {
    #[default]
    Over,
    Asking(Exchange),
    Sending(Box<Forward>),
    Reading(Box<Task>),
    Inquiring(Box<Inquiry>),
    Closing(Closing),
}

#[derive(Clone, Copy)]
struct Flight {
    origin: OriginId,
    sent_us: u64,
    answered: Option<StatusCode>,
}

impl<P: Ports> Account<P> {
    /// Boxed: it goes through many hands.
    pub(crate) fn open(ports: P, began_us: u64) -> Box<Self> {
        Box::new(Self {
            ports,
            stage: Stage::Over,
            began_us,
            store_us: 0,
            store_at_us: 0,
            origin_us: 0,
            upload: None,
            response_bytes: 0,
            capture: Capture::default(),
            begun: None,
            store_failed: false,
            in_flight: None,
            answered: None,
            failed: Vec::new(),
            noted: false,
            tries: Vec::new(),
            recording: None,
        })
    }

    pub(crate) fn enter(&mut self, stage: Stage) {
        if let Stage::Sending(outgoing) = &stage {
            self.noted = outgoing.is_traced() || self.ports.notes_attempts();
        }
        self.stage = stage;
    }

    pub(crate) fn leave(&mut self) -> Stage {
        mem::take(&mut self.stage)
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(crate) fn stage_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }

    pub(crate) fn elapsed_us(&self) -> u64 {
        self.ports.mono_us().saturating_sub(self.began_us)
    }

    /// An attempt goes out.
    pub(crate) fn depart(&mut self, origin: OriginId, attempt: usize) {
        if let Stage::Sending(outgoing) = &mut self.stage {
            outgoing.depart(attempt);
        }
        self.ports.board(|board| board.start(origin));
        self.in_flight = Some(Flight { origin, sent_us: self.ports.mono_us(), answered: None });
    }

    /// The head has come: now, unix ms.
    pub(crate) fn answered(&mut self, status: StatusCode) -> u64 {
        let now_ms = self.ports.now_ms();
        let Some(flight) = &mut self.in_flight else { return now_ms };
        let us = self.ports.mono_us().saturating_sub(flight.sent_us);
        flight.answered = Some(status);
        self.origin_us = self.origin_us.saturating_add(us);
        self.answered = Some(flight.origin);
        let origin = flight.origin;
        self.ports.board(|board| board.observe(origin, Observation::Answered { us }, now_ms));
        now_ms
    }

    /// The attempt failed. `blame`: by the origin's fault.
    pub(crate) fn failed(&mut self, failure: OriginFailure, blame: bool) {
        let Some(flight) = self.in_flight.take() else { return };
        self.note_try(flight, TryEnd::Failed(failure));
        self.origin_us = self.origin_us.saturating_add(self.ports.mono_us().saturating_sub(flight.sent_us));
        let observation = if blame { Observation::Failed } else { Observation::Abandoned };
        let now_ms = self.ports.now_ms();
        self.ports.board(|board| {
            board.observe(flight.origin, observation, now_ms);
            board.finish(flight.origin);
        });
        if blame {
            self.failed.push(flight.origin);
        }
    }

    fn note_try(&mut self, flight: Flight, end: TryEnd) {
        if self.noted {
            let from_us = flight.sent_us.saturating_sub(self.began_us);
            self.tries.push(Try { origin: flight.origin, from_us, until_us: self.elapsed_us(), end });
        }
    }

    /// Closes the accounts and tells everybody; further calls do nothing.
    pub(crate) fn finish(&mut self, end: End) {
        if let Some(epilogue) = self.close(end) {
            settle(&self.ports, epilogue);
        }
    }

    /// Closes the accounts; none if they are closed already.
    pub(crate) fn close(&mut self, end: End) -> Option<Epilogue> {
        let closing = match self.leave() {
            Stage::Over => return None,
            Stage::Asking(exchange) => {
                // Nothing was decided.
                self.recording = None;
                exchange.abandon()
            }
            Stage::Sending(forward) => forward.abandon(),
            Stage::Reading(task) => task.abandon(),
            Stage::Inquiring(inquiry) => inquiry.abandon(),
            Stage::Closing(closing) => closing,
        };
        let now_ms = self.ports.now_ms();
        if let Some(flight) = self.in_flight.take() {
            self.note_try(flight, flight.answered.map_or(TryEnd::Left, TryEnd::Answered));
            self.ports.board(|board| {
                if end == End::OriginBroke {
                    board.observe(flight.origin, Observation::Failed, now_ms);
                } else if flight.answered.is_none() {
                    board.observe(flight.origin, Observation::Abandoned, now_ms);
                }
                board.finish(flight.origin);
            });
        }
        let (request_bytes, request_body) = match &self.upload {
            Some(upload) => {
                let mut upload = upload.borrow_mut();
                (upload.bytes, upload.capture.take())
            }
            None => (0, None),
        };
        let whole = end == End::Complete;
        let outcome = Outcome {
            now_ms,
            end,
            total_us: self.elapsed_us(),
            store_us: self.store_us,
            origin_us: self.origin_us,
            request_bytes,
            response_bytes: self.response_bytes,
            request_body,
            response_body: self.capture.take().filter(|_| whole),
            response_begun: self.begun.take(),
            origin: self.answered,
            failed: mem::take(&mut self.failed),
            store_at_us: self.store_at_us,
            tries: mem::take(&mut self.tries),
        };
        if let Some((gateway, recording)) = self.recording.take().map(|it| *it) {
            self.ports.recorded(gateway, Recording { outcome: outcome.clone(), ..recording });
        }
        Some(closing.finish(outcome))
    }

    /// Tells the store before the client gets its answer. Where the store gave no answer before the verdict, nobody waits for it
    /// again: it is told behind the client's back.
    pub(crate) async fn tell_first(&self, batch: Batch) {
        if self.store_failed {
            homes::write(&self.ports, batch);
        } else {
            homes::tell(&self.ports, batch).await;
        }
    }

    /// Notes what came of asking origins, where anything is recorded.
    pub(crate) fn note(&mut self, origin: impl FnOnce() -> Origin) {
        if let Some(recording) = &mut self.recording {
            recording.1.origin = origin();
        }
    }
}

impl<P: Ports> Drop for Account<P> {
    fn drop(&mut self) {
        self.finish(End::ClientLeft);
    }
}

/// Tells the observers, then the store; nobody waits.
fn settle<P: Ports>(ports: &P, mut epilogue: Epilogue) {
    tell(ports, &mut epilogue);
    if let Some(batch) = epilogue.batch.take() {
        homes::write(ports, batch);
    }
}

/// Tells the observers.
pub(crate) fn tell<P: Ports>(ports: &P, epilogue: &mut Epilogue) {
    ports.record(epilogue);
    let spans = mem::take(&mut epilogue.spans);
    if !spans.is_empty() {
        ports.export(spans);
    }
}
