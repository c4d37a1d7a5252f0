//! A TCP proxy between a gateway and Redis that counts commands: the witness of "one round trip per decision".

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use acip_core::store::resp::{Decoder, Reply};

use crate::Redis;

/// A running proxy. Its threads end with their connections.
pub struct RedisProxy {
    port: u16,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl RedisProxy {
    /// Starts one in front of a server.
    pub fn start(redis: &Redis) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let counts = Arc::new(Mutex::new(BTreeMap::new()));
        let (shared, target) = (Arc::clone(&counts), redis.port());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let counts = Arc::clone(&shared);
                let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { continue };
                thread::spawn(move || commands(from, to, &counts));
                thread::spawn(move || replies(server, client));
            }
        });
        Self { port, counts }
    }

    /// Where gateways find it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Commands seen so far, by upper-case name.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All commands seen so far.
    pub fn total(&self) -> u64 {
        self.counts().values().sum()
    }
}

fn commands(mut from: TcpStream, mut to: TcpStream, counts: &Mutex<BTreeMap<String, u64>>) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        decoder.feed(&buffer[..read]);
        // Counted before it is passed on: who sees an answer sees its command counted.
        while let Some(command) = decoder.next() {
            let Ok(Reply::Array(parts)) = command else {
                panic!("the gateway wrote no command: {command:?}")
            };
            let Some(Reply::Bulk(name)) = parts.first() else { panic!("a command without a name") };
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn replies(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}
