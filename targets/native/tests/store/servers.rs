//! Real redis-servers, and a peer that answers when told to.

use std::{
    fs::File,
    future::Future,
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use acip_core::{
    config::{Document, StoreUrl},
    store::{Ask, Batch, Cell, StoreError},
};
use acip_gateway::store::StoreClient;
use tempfile::TempDir;
use tokio::{task::LocalSet, time::sleep};

/// A redis-server of one test.
pub(crate) struct Server {
    child: Child,
    args: Vec<String>,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts one on a free port; `{port}` and `{folder}` in the arguments are filled in.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::configured("", args).await
    }

    /// As [`Server::start`], with these settings in `{folder}/redis.conf`, filled in too.
    pub(crate) async fn configured(settings: &str, args: &[&str]) -> Self {
        // Between our finding the port free and the server's taking it, somebody else may.
        for _ in 0..20 {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let path = folder.path().to_str().unwrap().to_owned();
            let fill = |text: &str| text.replace("{port}", &port.to_string()).replace("{folder}", &path);
            std::fs::write(folder.path().join("redis.conf"), fill(settings)).unwrap();
            let args: Vec<String> = args.iter().map(|arg| fill(arg)).collect();
            let mut server = Self { child: spawn(&args, folder.path()), args, port, folder };
            if server.came_up().await {
                return server;
            }
        }
        panic!("redis-server starts on no port");
    }

    /// Whether it listens, by its own words: another test's server may answer on the port that this one wanted.
    async fn came_up(&mut self) -> bool {
        let log = self.folder.path().join(LOG);
        let mut up = false;
        let child = &mut self.child;
        wait_for("redis-server listens or ends", || {
            // Asked first, so that what it wrote before its end is read after it.
            let ended = child.try_wait().unwrap().is_some();
            let said = std::fs::read_to_string(&log).unwrap();
            up = ["Ready to accept connections", "Sentinel ID is"].iter().any(|line| said.contains(line));
            std::future::ready(up || ended)
        })
        .await;
        up
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.args, self.folder.path());
        assert!(self.came_up().await, "redis-server does not start again on port {}", self.port);
    }

    /// What redis-cli prints.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Calls of a command so far, as the server counts them.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(args: &[String], folder: &Path) -> Child {
    let log = File::create(folder.join(LOG)).unwrap();
    Command::new("redis-server").args(args).current_dir(folder).stdout(log).spawn().unwrap()
}

/// What a server says, in its folder; begun anew with each start.
const LOG: &str = "log";

/// The usual arguments of a server.
pub(crate) const PLAIN: &[&str] =
    &["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];

/// A port below 20000, so that a cluster's second one 10000 above it exists, and clear of the ports that outgoing
/// connections are given.
fn free_port() -> u16 {
    loop {
        let any = u16::try_from(RandomState::new().hash_one(()) % 10_000).unwrap();
        let port = 10_000 + any;
        if [port, port + 10_000].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// Waits for a condition, 30 seconds at most.
pub(crate) async fn wait_for<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} within 30 seconds");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a test as a runtime thread of the gateway runs.
pub(crate) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

/// A client of this URL.
pub(crate) async fn client(url: &str, timeout_ms: u64) -> StoreClient {
    let mut store = Document::default().store;
    store.url = Some(StoreUrl::parse(url).expect("a URL"));
    store.timeout_ms = timeout_ms;
    let client = StoreClient::open(&store, std::sync::Arc::default()).unwrap();
    client.settled().await;
    client
}

/// A batch that sets a key, or reads it.
pub(crate) fn get(key: &str) -> Batch {
    let mut ask = Ask::new(1_700_000_000_000);
    ask.get(key.into());
    ask.into_batch()
}

pub(crate) async fn read(client: &StoreClient, key: &str) -> Result<Option<String>, StoreError> {
    let row = client.ask(&get(key)).await?;
    Ok(match &row[..] {
        [Cell::Bytes(text)] => Some(String::from_utf8(text.to_vec()).unwrap()),
        [Cell::Nil] => None,
        _ => panic!("{row:?}"),
    })
}

pub(crate) async fn write(client: &StoreClient, key: &str, value: &str) {
    let op = acip_core::store::Op::Set {
        key: key.into(),
        value: value.to_owned().into(),
        ttl_ms: Some(60_000),
        only_new: false,
    };
    client.ask(&Batch { now_ms: 1_700_000_000_000, ops: vec![op] }).await.unwrap();
}
