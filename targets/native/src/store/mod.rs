//! The store as the native gateway reaches it: over TCP, in a cluster, or in this process.
//!
//! Each runtime thread opens a [`StoreClient`] of its own, within a `LocalRuntime`: one connection per thread, no locks. What is asked
//! and what it means is the core's; this is connections, time limits and recovery.

mod address;
mod apart;
mod cluster;
mod link;
mod parts;
mod rest;
mod sentinel;
mod stream;
mod tcp;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use acip_core::{
    config::{Document, RedisServers, StoreSettings},
    report::StoreStatus,
    store::{Batch, Cell, Memory, Reply, StoreError},
};

use cluster::ClusterClient;
use rest::RestClient;
use tcp::TcpClient;

pub use address::AddressError;
pub use apart::Apart;
pub use parts::Part;

/// A store, by the way it is reached.
pub enum StoreClient {
    /// One server, or the master that sentinels name.
    Tcp(TcpClient),
    /// An endpoint that speaks Redis over HTTP.
    Rest(RestClient),
    /// A Redis Cluster.
    Cluster(ClusterClient),
    /// In this process, shared by its threads.
    Embedded(Arc<Mutex<Memory>>),
}

impl StoreClient {
    /// Begins to connect, in the background; without a URL, uses `memory`. Call it within a `LocalRuntime`.
    ///
    /// # Errors
    /// Only where the settings cannot be meant: an unreachable server is no error, it may come up.
    pub fn open(settings: &StoreSettings, memory: Arc<Mutex<Memory>>) -> Result<Self, AddressError> {
        let timeout = Duration::from_millis(settings.timeout_ms.max(1));
        if let Some(endpoint) = settings.rest() {
            return Ok(Self::Rest(RestClient::open(endpoint, settings.rest_token.as_ref(), timeout)?));
        }
        let Some(address) = settings.redis() else { return Ok(Self::Embedded(memory)) };
        Ok(match address.servers {
            RedisServers::Cluster(_) => Self::Cluster(ClusterClient::open(address, timeout)?),
            _ => Self::Tcp(TcpClient::open(address, timeout)?),
        })
    }

    /// Opens the store of a document and waits for the first attempt to connect: for the command line.
    ///
    /// # Errors
    /// [`StoreError::Down`] with the reason.
    pub async fn connect(document: &Document) -> Result<Self, StoreError> {
        let settings =
            StoreSettings { timeout_ms: document.store.timeout_ms.max(2000), ..document.store.clone() };
        let client =
            Self::open(&settings, Arc::default()).map_err(|error| StoreError::Down(error.to_string()))?;
        client.settled().await;
        let status = client.status();
        if status.up { Ok(client) } else { Err(StoreError::Down(status.error.unwrap_or_default())) }
    }

    /// Waits until the first attempt to connect has ended, well or badly.
    pub async fn settled(&self) {
        match self {
            Self::Tcp(client) => client.settled().await,
            Self::Rest(client) => client.settled().await,
            Self::Cluster(client) => client.settled().await,
            Self::Embedded(_) => {}
        }
    }

    /// Asks a batch: one command, but in a cluster.
    ///
    /// # Errors
    /// See [`StoreError`]. While there is no connection it fails at once.
    pub async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Tcp(client) => client.ask(batch).await,
            // Apart: their questions are large, and every request would have room for them, wherever its store is.
            Self::Rest(client) => Box::pin(client.ask(batch)).await,
            Self::Cluster(client) => Box::pin(client.ask(batch)).await,
            Self::Embedded(memory) => Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).apply(batch)),
        }
    }

    /// Sends a command of any kind: for the command line and what runs between requests, never for a request. In a cluster its first key decides
    /// where it goes.
    ///
    /// # Errors
    /// See [`StoreError`]; an error answer is one, too. The embedded store takes no commands.
    pub async fn command<T: AsRef<[u8]>>(&self, args: &[T]) -> Result<Reply, StoreError> {
        let reply = match self {
            Self::Tcp(client) => client.command(args).await?,
            Self::Rest(client) => client.command(args).await?,
            Self::Cluster(client) => client.command(args).await?,
            Self::Embedded(_) => return Err(StoreError::Down("the embedded store takes no commands".into())),
        };
        match reply {
            Reply::Error(line) => Err(StoreError::from_server(&line)),
            reply => Ok(reply),
        }
    }

    /// Sends commands of any kind in one write, with nothing in between, and waits for all their replies; in a cluster
    /// one after the other, each to where its first key is. Error answers are among the replies.
    ///
    /// # Errors
    /// See [`StoreError`]; some commands may have been executed. The embedded store takes no commands.
    pub async fn commands<T: AsRef<[u8]>>(
        &self,
        commands: &[impl AsRef<[T]>],
    ) -> Result<Vec<Reply>, StoreError> {
        match self {
            Self::Tcp(client) => client.commands(commands).await,
            Self::Rest(client) => client.commands(commands).await,
            Self::Cluster(client) => {
                let mut replies = Vec::with_capacity(commands.len());
                for command in commands {
                    replies.push(client.command(command.as_ref()).await?);
                }
                Ok(replies)
            }
            Self::Embedded(_) => Err(StoreError::Down("the embedded store takes no commands".into())),
        }
    }

    /// Whether a batch may be taken apart.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// How it stands.
    pub fn status(&self) -> StoreStatus {
        match self {
            Self::Tcp(client) => client.status(),
            Self::Rest(client) => client.status(),
            Self::Cluster(client) => client.status(),
            Self::Embedded(_) => StoreStatus { mode: "embedded", up: true, latency_us: Some(0), error: None },
        }
    }

    /// Commands sent so far by [`ask`](Self::ask) and [`command`](Self::command).
    pub fn round_trips(&self) -> u64 {
        match self {
            Self::Tcp(client) => client.round_trips(),
            Self::Rest(client) => client.round_trips(),
            Self::Cluster(client) => client.round_trips(),
            Self::Embedded(_) => 0,
        }
    }
}

/// As an instance asks it, on Lambda.
impl acip_shell::store::Store for StoreClient {
    fn mode(&self) -> &'static str {
        self.status().mode
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<Cell>, StoreError> {
        // The method above, not this one.
        StoreClient::ask(self, batch).await
    }

    fn round_trips(&self) -> u64 {
        StoreClient::round_trips(self)
    }
}
