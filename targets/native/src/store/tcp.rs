//! The client of one server: a multiplexed, pipelined connection of this thread.

use std::{rc::Rc, time::Duration};

use acip_core::{
    config::RedisAddress,
    report::StoreStatus,
    store::{Batch, Cell, Reply, ServerError, StoreError, resp},
};
use acip_shell::store::{Caller, Form};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    address::AddressError,
    link::{self, Link},
    sentinel::Route,
};

/// One connection, kept by a task of this thread.
pub struct TcpClient {
    link: Rc<Link>,
    keeper: JoinHandle<()>,
    caller: Caller,
    timeout: Duration,
    mode: &'static str,
}

impl TcpClient {
    pub(super) fn open(address: RedisAddress, timeout: Duration) -> Result<Self, AddressError> {
        let route = Route::new(address)?;
        let (link, mode) = (Link::new(), route.mode());
        let keeper = tokio::task::spawn_local(link::keep(link.clone(), route));
        Ok(Self { link, keeper, caller: Caller::new(), timeout, mode })
    }

    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let generation = self.link.generation();
        let row = self
            .caller
            .ask(batch, async |script, form| {
                let encode = |out: &mut Vec<u8>| match form {
                    Form::Name => script.encode_evalsha(batch, out),
                    Form::Whole => script.encode_eval(batch, out),
                };
                self.link.call(deadline, encode).await
            })
            .await;
        match &row {
            // A master that was made a replica: look for the new one.
            Err(StoreError::Server { class: ServerError::ReadOnly, .. }) => self.link.give_up(generation),
            // Replies and questions may be out of step.
            Err(StoreError::Protocol(_)) => self.link.give_up(generation),
            _ => {}
        }
        row
    }

    pub(super) async fn command<T: AsRef<[u8]>>(&self, args: &[T]) -> Result<Reply, StoreError> {
        self.link.call(Instant::now() + self.timeout, |out| resp::encode(args, out)).await
    }

    pub(super) async fn commands<T: AsRef<[u8]>>(
        &self,
        commands: &[impl AsRef<[T]>],
    ) -> Result<Vec<Reply>, StoreError> {
        let encode = |out: &mut Vec<u8>| {
            for command in commands {
                resp::encode(command.as_ref(), out);
            }
        };
        let generation = self.link.generation();
        let replies = self.link.call_many(Instant::now() + self.timeout, commands.len(), encode).await?;
        let demoted = |reply: &Reply| matches!(reply, Reply::Error(line) if line.starts_with(b"READONLY"));
        // Who asks for the master is not served by a replica; who was given a replica's address is.
        if self.mode == "sentinel" && replies.iter().any(demoted) {
            self.link.give_up(generation);
        }
        Ok(replies)
    }

    pub(super) async fn settled(&self) {
        self.link.settled().await;
    }

    pub(super) fn status(&self) -> StoreStatus {
        let up = self.link.is_up();
        StoreStatus {
            mode: self.mode,
            up,
            latency_us: self
                .link
                .latency()
                .map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
            error: (!up).then(|| self.link.error()),
        }
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.link.round_trips()
    }
}

impl Drop for TcpClient {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}
