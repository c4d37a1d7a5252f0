//! Real redis-servers, and a peer that answers when told to.

use std::{
    cell::Cell,
    future::Future,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use acip_core::{
    config::{Document, Secret},
    store::{Ask, Batch, Cell as StoreCell, StoreError},
};
use acip_gateway::store::StoreClient;
use tempfile::TempDir;
use tokio::{net::TcpStream, task::LocalSet, time::sleep};

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
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, free_port(), args).await
    }

    pub(crate) async fn start_in(folder: TempDir, port: u16, args: &[&str]) -> Self {
        let path = folder.path().to_str().unwrap().to_owned();
        let fill = |arg: &&str| arg.replace("{port}", &port.to_string()).replace("{folder}", &path);
        let args: Vec<String> = args.iter().map(fill).collect();
        let server = Self { child: spawn(&args, folder.path()), args, port, folder };
        server.listening().await;
        server
    }

    async fn listening(&self) {
        wait_for("redis-server listens", || async {
            TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(&self.args, self.folder.path());
        self.listening().await;
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
    Command::new("redis-server").args(args).current_dir(folder).stdout(Stdio::null()).spawn().unwrap()
}

/// The usual arguments of a server.
pub(crate) const PLAIN: &[&str] =
    &["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];

/// A port below 20000, so that a cluster's second one 10000 above it exists, and clear of the ports that outgoing
/// connections are given.
pub(crate) fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() % 9000).unwrap();
    thread_local!(static NEXT: Cell<u16> = const { Cell::new(0) });
    let thread = format!("{:?}", std::thread::current().id())
        .bytes()
        .fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    loop {
        let next = NEXT.get();
        NEXT.set(next + 1);
        let port = 10_000 + (start + thread % 7919 + next * 3) % 9900;
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()
        {
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
    store.url = Some(Secret::new(url));
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
        [StoreCell::Bytes(text)] => Some(String::from_utf8(text.to_vec()).unwrap()),
        [StoreCell::Nil] => None,
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
