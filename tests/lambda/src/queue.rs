//! Invocations between the front and the function: waiting for a process, then for its answer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::answer::Answer;

/// Invocations, first come, first served; of idle processes the one that was busy last takes the next, for it is warm.
#[derive(Default)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Invocation>,
    idle: Vec<oneshot::Sender<Invocation>>,
    under_way: BTreeMap<String, oneshot::Sender<Answer>>,
    count: u64,
}

/// One of them, on its way to a process.
pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) event: Bytes,
    answer: oneshot::Sender<Answer>,
}

impl Queue {
    /// Waits until a process answers this event; none where it fails to.
    pub(crate) async fn invoke(&self, event: Bytes) -> Option<Answer> {
        let answered = self.add(event);
        answered.await.ok()
    }

    fn add(&self, event: Bytes) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        state.count += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", state.count);
        let mut invocation = Invocation { id, event, answer };
        while let Some(idle) = state.idle.pop() {
            match idle.send(invocation) {
                Ok(()) => return answered,
                // That process is gone.
                Err(back) => invocation = back,
            }
        }
        state.waiting.push_back(invocation);
        answered
    }

    /// The next one whose client still waits.
    pub(crate) async fn next(&self) -> Option<(String, Bytes)> {
        loop {
            let Invocation { id, event, answer } = self.first().await.ok()?;
            if !answer.is_closed() {
                self.state().under_way.insert(id.clone(), answer);
                return Some((id, event));
            }
        }
    }

    fn first(&self) -> oneshot::Receiver<Invocation> {
        let (idle, first) = oneshot::channel();
        let mut state = self.state();
        match state.waiting.pop_front() {
            Some(invocation) => drop(idle.send(invocation)),
            None => state.idle.push(idle),
        }
        first
    }

    /// Where the answer to one under way goes.
    pub(crate) fn end(&self, id: &str) -> Option<oneshot::Sender<Answer>> {
        self.state().under_way.remove(id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
