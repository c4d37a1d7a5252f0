//! The client of one server: a multiplexed, pipelined connection of this thread.

use std::{cell::Cell, rc::Rc, time::Duration};

use acip_core::{
    report::StoreStatus,
    store::{Batch, Cell as StoreCell, Reply, Script, ServerError, StoreError, resp},
};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    address::{Address, AddressError},
    link::{self, Link},
    sentinel::Route,
};

/// One connection, kept by a task of this thread.
pub struct TcpClient {
    link: Rc<Link>,
    keeper: JoinHandle<()>,
    script: Script,
    /// The server takes no `EVALSHA`.
    whole: Cell<bool>,
    timeout: Duration,
    mode: &'static str,
}

impl TcpClient {
    pub(super) fn open(address: Address, timeout: Duration) -> Result<Self, AddressError> {
        let route = Route::new(address)?;
        let (link, mode) = (Link::new(), route.mode());
        let keeper = tokio::task::spawn_local(link::keep(link.clone(), route));
        Ok(Self { link, keeper, script: Script::new(), whole: Cell::new(false), timeout, mode })
    }

    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        if self.whole.get() {
            return self.send(batch, deadline, true).await;
        }
        let refused = match self.send(batch, deadline, false).await {
            Err(error @ StoreError::Server { .. }) => error,
            answered => return answered,
        };
        if refused.is_no_script() {
            return self.send(batch, deadline, true).await;
        }
        if !lacks_evalsha(&refused) {
            return Err(refused);
        }
        let row = self.send(batch, deadline, true).await?;
        self.whole.set(true);
        Ok(row)
    }

    async fn send(
        &self,
        batch: &Batch,
        deadline: Instant,
        whole: bool,
    ) -> Result<Vec<StoreCell>, StoreError> {
        let generation = self.link.generation();
        let encode = |out: &mut Vec<u8>| match whole {
            true => self.script.encode_eval(batch, out),
            false => self.script.encode_evalsha(batch, out),
        };
        let row = resp::row(self.link.call(deadline, encode).await?, batch.width());
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
        self.link.call_many(Instant::now() + self.timeout, commands.len(), encode).await
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

/// Some hosted servers know `EVAL` alone.
pub(super) fn lacks_evalsha(error: &StoreError) -> bool {
    match error {
        StoreError::Server { class: ServerError::NoPermission, .. } => true,
        StoreError::Server { message, .. } => message.starts_with("ERR unknown command"),
        _ => false,
    }
}
