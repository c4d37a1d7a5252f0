//! The client of a Redis Cluster, on the `redis` crate's: slots, redirections and connections to nodes are its own.
//!
//! A batch becomes one call per hash slot, sent at the same time.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use acip_core::{
    config::{RedisAddress, RedisServers},
    report::StoreStatus,
    store::{Batch, Cell as StoreCell, Reply, RespError, Roster, SlotGroup, StoreError},
};
use acip_shell::store::{Caller, Form};
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{
    RedisError, Value,
    aio::ConnectionLike as _,
    cluster::{ClusterClient as Driver, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    address::{AddressError, Place},
    link::{FIRST_PAUSE, LONGEST_PAUSE, jittered},
    sentinel::info,
};

/// The connections to a cluster, kept by tasks of this thread.
pub struct ClusterClient {
    shared: Rc<Shared>,
    keeper: JoinHandle<()>,
    caller: Caller,
    timeout: Duration,
}

struct Shared {
    connection: RefCell<Option<ClusterConnection>>,
    attempts: watch::Sender<u64>,
    up: Cell<bool>,
    error: RefCell<String>,
    latency: Cell<Option<Duration>>,
    round_trips: Cell<u64>,
}

impl ClusterClient {
    pub(super) fn open(address: RedisAddress, timeout: Duration) -> Result<Self, AddressError> {
        let RedisAddress { servers: RedisServers::Cluster(nodes), tls, login } = address else {
            return Err(AddressError::Malformed("not a cluster".into()));
        };
        // The crate's TLS takes the process's cryptography; another part may have set the same before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nodes = nodes.into_iter().map(|node| info(Place::new(node, tls), Some(&login)));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let driver = ClusterClientBuilder::new(nodes)
            .connection_timeout(Duration::from_secs(2))
            .response_timeout(timeout)
            .retries(3)
            .build()
            .map_err(|error| AddressError::Malformed(error.to_string()))?;
        let shared = Rc::new(Shared {
            connection: RefCell::new(None),
            attempts: watch::Sender::new(0),
            up: Cell::new(false),
            error: RefCell::new("not connected yet".into()),
            latency: Cell::new(None),
            round_trips: Cell::new(0),
        });
        let keeper = tokio::task::spawn_local(connect(shared.clone(), driver));
        Ok(Self { shared, keeper, caller: Caller::new(), timeout })
    }

    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let split = batch.split_by_slot();
        let mut row = split.row();
        for (group, cells) in
            try_join_all(split.first.iter().map(|group| self.ask_group(group, deadline))).await?
        {
            group.part.place(cells, &mut row);
        }
        let second = split.second(&row);
        for (group, cells) in try_join_all(second.iter().map(|group| self.ask_group(group, deadline))).await?
        {
            group.part.place(cells, &mut row);
        }
        for roster in &split.rosters {
            if let Some(cell) = row.get_mut(roster.cell)
                && (*cell == StoreCell::Nil || *cell == StoreCell::Bytes(Bytes::new()))
            {
                *cell = StoreCell::Bytes(self.roster(roster, deadline).await?);
            }
        }
        Ok(row)
    }

    /// Reads a worker list key by key.
    async fn roster(&self, roster: &Roster, deadline: Instant) -> Result<Bytes, StoreError> {
        let index = match self.send(&words(&["GET", &roster.index]), deadline).await? {
            Reply::Bulk(raw) => Some(raw),
            _ => None,
        };
        let ids = roster.ids(index.as_deref());
        let mut values = Vec::new();
        for keys in roster.keys(&ids).chunks(KEYS_AT_ONCE) {
            let mut get = words(&["MGET"]);
            get.extend(keys.iter().map(|key| key.clone().into_bytes()));
            let Reply::Array(found) = self.send(&get, deadline).await? else {
                return Err(StoreError::Protocol(RespError::NotARow));
            };
            values.extend(found.into_iter().map(|value| match value {
                Reply::Bulk(text) => Some(text),
                _ => None,
            }));
        }
        Ok(Roster::document(&ids, &values))
    }

    /// The first hash slot of each master: one address for each.
    pub(super) async fn masters(&self) -> Result<Vec<u16>, StoreError> {
        let reply = self.send(&words(&["CLUSTER", "SLOTS"]), Instant::now() + self.timeout).await?;
        let Reply::Array(ranges) = reply else {
            return Err(StoreError::Protocol(RespError::NotARow));
        };
        let mut known: Vec<(Vec<Reply>, u16)> = Vec::new();
        for range in ranges {
            let Reply::Array(range) = range else { continue };
            if let [Reply::Int(first), _, Reply::Array(node), ..] = range.as_slice()
                && let Ok(first) = u16::try_from(*first)
                && let Some(address) = node.get(..2)
                && known.iter().all(|(known, _)| known != address)
            {
                known.push((address.to_vec(), first));
            }
        }
        Ok(known.into_iter().map(|(_, first)| first).collect())
    }

    /// Sends a command to the master of a slot.
    pub(super) async fn command_at<T: AsRef<[u8]>>(
        &self,
        slot: u16,
        args: &[T],
    ) -> Result<Reply, StoreError> {
        self.send_to(Some(slot), args, Instant::now() + self.timeout).await
    }

    async fn ask_group<'g>(
        &self,
        group: &'g SlotGroup,
        deadline: Instant,
    ) -> Result<(&'g SlotGroup, Vec<StoreCell>), StoreError> {
        let cells = self
            .caller
            .ask(&group.part.batch, async |script, form| {
                self.send(&script.words(&group.part.batch, form == Form::Whole), deadline).await
            })
            .await?;
        Ok((group, cells))
    }

    pub(super) async fn command<T: AsRef<[u8]>>(&self, args: &[T]) -> Result<Reply, StoreError> {
        self.send(args, Instant::now() + self.timeout).await
    }

    async fn send<T: AsRef<[u8]>>(&self, args: &[T], deadline: Instant) -> Result<Reply, StoreError> {
        self.send_to(None, args, deadline).await
    }

    /// Sends a command to the master of a slot, or to where its first key is.
    async fn send_to<T: AsRef<[u8]>>(
        &self,
        slot: Option<u16>,
        args: &[T],
        deadline: Instant,
    ) -> Result<Reply, StoreError> {
        let Some(mut connection) = self.shared.connection.borrow().clone() else {
            return Err(StoreError::Down(self.shared.error.borrow().clone()));
        };
        let mut command = redis::Cmd::new();
        args.iter().for_each(|arg| {
            command.arg(arg.as_ref());
        });
        let sent = Instant::now();
        self.shared.round_trips.set(self.shared.round_trips.get() + 1);
        let answer = match slot {
            None => timeout_at(deadline, connection.req_packed_command(&command)).await,
            Some(slot) => {
                let master = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                let sent = connection.route_command(command, RoutingInfo::SingleNode(master));
                timeout_at(deadline, sent).await
            }
        };
        let outcome = match answer {
            Err(_) => Err(StoreError::Timeout),
            Ok(Ok(value)) => Ok(reply(value)),
            Ok(Err(error)) => said(&error),
        };
        match &outcome {
            Ok(_) => {
                self.shared.latency.set(Some(sent.elapsed()));
                self.shared.up.set(true);
            }
            Err(error) => {
                self.shared.up.set(false);
                *self.shared.error.borrow_mut() = error.to_string();
            }
        }
        outcome
    }

    pub(super) async fn settled(&self) {
        let _ = self.shared.attempts.subscribe().wait_for(|attempts| *attempts > 0).await;
    }

    pub(super) fn status(&self) -> StoreStatus {
        let up = self.shared.up.get();
        let latency = self.shared.latency.get();
        StoreStatus {
            mode: "cluster",
            up,
            latency_us: latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
            error: (!up).then(|| self.shared.error.borrow().clone()),
        }
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.shared.round_trips.get()
    }
}

impl Drop for ClusterClient {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Connects for the first time; from then on the crate keeps the connections.
async fn connect(shared: Rc<Shared>, driver: Driver) {
    let mut pause = FIRST_PAUSE;
    loop {
        match driver.get_async_connection().await {
            Ok(connection) => {
                *shared.connection.borrow_mut() = Some(connection);
                shared.up.set(true);
                shared.attempts.send_modify(|attempts| *attempts += 1);
                return;
            }
            Err(error) => *shared.error.borrow_mut() = error.to_string(),
        }
        shared.attempts.send_modify(|attempts| *attempts += 1);
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A server's error is an answer; all else means that there was none.
fn said(error: &RedisError) -> Result<Reply, StoreError> {
    if error.is_timeout() {
        return Err(StoreError::Timeout);
    }
    match error.code() {
        Some(code) => Ok(Reply::Error(format!("{code} {}", error.detail().unwrap_or_default()).into())),
        None => Err(StoreError::Down(error.to_string())),
    }
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn reply(value: Value) -> Reply {
    match value {
        Value::Int(number) => Reply::Int(number),
        Value::BulkString(text) => Reply::Bulk(text.into()),
        Value::SimpleString(text) => Reply::Status(text.into()),
        Value::Okay => Reply::Status("OK".into()),
        Value::Array(items) | Value::Set(items) => Reply::Array(items.into_iter().map(reply).collect()),
        Value::Map(pairs) => {
            Reply::Map(pairs.into_iter().map(|(key, value)| (reply(key), reply(value))).collect())
        }
        Value::Double(number) => Reply::Double(number),
        Value::Boolean(truth) => Reply::Bool(truth),
        Value::ServerError(error) => {
            Reply::Error(format!("{} {}", error.code(), error.details().unwrap_or_default()).into())
        }
        _ => Reply::Nil,
    }
}

/// Keys read by one command; the crate sends it in parts to where they live.
const KEYS_AT_ONCE: usize = 3_000;
