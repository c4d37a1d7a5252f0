//! A TCP proxy between a gateway and Redis that counts commands: the witness of "one round trip per decision". The looks at the
//! stored configuration that a process takes by itself (`GETRANGE`, on a connection of their own) are neither counted nor held.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use acip_core::store::resp::{Decoder, Reply};

use crate::Redis;

/// A running proxy. Its threads end with their connections.
pub struct RedisProxy {
    port: u16,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    pieces: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    delay_ms: Arc<AtomicU64>,
    gate: Arc<Gate>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

/// Lets pieces of answers through: as many as there are permits, or all.
#[derive(Default)]
struct Gate {
    permits: Mutex<Option<u64>>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, permits: Option<u64>) {
        *self.permits.lock().unwrap_or_else(PoisonError::into_inner) = permits;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        while *permits == Some(0) {
            permits = self.changed.wait(permits).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(left) = permits.as_mut() {
            *left -= 1;
        }
    }
}

impl RedisProxy {
    /// Starts one in front of a server.
    pub fn start(redis: &Redis) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let (delay_ms, open) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (gate, pieces) = (Arc::<Gate>::default(), Arc::<AtomicU64>::default());
        let bytes = Arc::<AtomicU64>::default();
        let (shared_pieces, shared_bytes) = (Arc::clone(&pieces), Arc::clone(&bytes));
        let shared_gate = Arc::clone(&gate);
        let (shared, target) = (Arc::clone(&counts), redis.port());
        let (delay, sockets) = (Arc::clone(&delay_ms), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let (counts, pieces) = (Arc::clone(&shared), Arc::clone(&shared_pieces));
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                let looks = Arc::<AtomicBool>::default();
                let seen_looks = Arc::clone(&looks);
                let (sent, received) = (Arc::clone(&shared_bytes), Arc::clone(&shared_bytes));
                thread::spawn(move || commands(from, to, (&counts, &pieces, &sent), &looks));
                let kept = [client.try_clone(), server.try_clone()].into_iter().flatten();
                sockets.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
                let (delay, gate) = (Arc::clone(&delay), Arc::clone(&shared_gate));
                thread::spawn(move || replies(server, client, (&delay, &gate, &received), &seen_looks));
            }
        });
        Self { port, counts, pieces, bytes, delay_ms, gate, open }
    }

    /// Where gateways find it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Holds every piece of the answers back for so many milliseconds.
    pub fn delay(&self, ms: u64) {
        self.delay_ms.store(ms, Ordering::Relaxed);
    }

    /// Lets only so many more answers through, until [`RedisProxy::release`]. For a gateway that asks one thing at a time: an
    /// answer is one piece then.
    pub fn hold_after(&self, answers: u64) {
        self.gate.set(Some(answers));
    }

    /// Lets all answers through.
    pub fn release(&self) {
        self.gate.set(None);
    }

    /// Cuts all connections; new ones are let through.
    pub fn cut(&self) {
        for socket in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Commands seen so far, by upper-case name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pieces in which commands came: a write of less than 16 KiB is one.
    pub fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Bytes that went through, in both directions.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// All commands, once there are so many and nothing has come for a while: the epilogue of an answer has no other end to wait
    /// for.
    pub async fn at_rest(&self, least: u64) -> u64 {
        let (mut last, mut same) = (self.total(), 0);
        while same < 5 || last < least {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.total();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    /// All commands seen so far.
    pub fn total(&self) -> u64 {
        self.counts().values().sum()
    }
}

fn commands(
    mut from: TcpStream,
    mut to: TcpStream,
    (counts, pieces, bytes): (&Mutex<BTreeMap<String, u64>>, &AtomicU64, &AtomicU64),
    looks: &AtomicBool,
) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut counted = false;
        bytes.fetch_add(read as u64, Ordering::Relaxed);
        decoder.feed(&buffer[..read]);
        // Counted before it is passed on: who sees an answer sees its command counted.
        while let Some(command) = decoder.next() {
            let Ok(Reply::Array(parts)) = command else {
                panic!("the gateway wrote no command: {command:?}")
            };
            let Some(Reply::Bulk(name)) = parts.first() else { panic!("a command without a name") };
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            looks.store(name == "GETRANGE", Ordering::Relaxed);
            if name == "GETRANGE" {
                continue;
            }
            counted = true;
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        }
        pieces.fetch_add(counted.into(), Ordering::Relaxed);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn replies(
    mut from: TcpStream,
    mut to: TcpStream,
    (delay_ms, gate, bytes): (&AtomicU64, &Gate, &AtomicU64),
    looks: &AtomicBool,
) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        bytes.fetch_add(read as u64, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
        if !looks.load(Ordering::Relaxed) {
            gate.pass();
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
