//! A proxy in front of an HTTP server of loopback that counts what passes.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// The proxy; it knows a request by the end of its head.
pub struct Counter {
    port: u16,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Counter {
    /// In front of this port of loopback.
    pub fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (requests, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (counted, counted_connections, sockets) =
            (Arc::clone(&requests), Arc::clone(&connections), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                counted_connections.fetch_add(1, Relaxed);
                let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
                let mut kept = sockets.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend([clone(&client), clone(&server)]);
                let (from, to, counted) = (clone(&client), clone(&server), Arc::clone(&counted));
                thread::spawn(move || pass(from, to, &counted));
                thread::spawn(move || pass(server, client, &AtomicU64::new(0)));
            }
        });
        Self { port, requests, connections, open }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        for socket in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// The count once nothing has come for a while: the epilogue of an answer has no other end to wait for.
    pub async fn at_rest(&self) -> u64 {
        let (mut last, mut same) = (self.requests(), 0);
        while same < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.requests();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }
}

/// Counts the ends of heads: a body of JSON holds no line end, it is always escaped there.
fn pass(mut from: TcpStream, mut to: TcpStream, requests: &AtomicU64) {
    const HEAD_END: &[u8] = b"\r\n\r\n";
    let (mut buffer, mut matched) = ([0; 16 << 10], 0);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        for byte in &buffer[..read] {
            matched = match *byte == HEAD_END[matched] {
                true => matched + 1,
                false => usize::from(*byte == HEAD_END[0]),
            };
            if matched == HEAD_END.len() {
                requests.fetch_add(1, Relaxed);
                matched = 0;
            }
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
