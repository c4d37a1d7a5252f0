//! A gateway in this process, in front of an origin that does what a test tells it, byte by byte.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use acip_core::config::{Document, Origin, OriginUrl};
use acip_gateway::server::Server;

/// A gateway without auth and limits in front of these origins.
pub(crate) fn gateway(origins: &[SocketAddr], change: impl FnOnce(&mut Document)) -> Server {
    let mut document = Document::default();
    document.server.host = Ipv4Addr::LOCALHOST.into();
    document.server.port = 0;
    document.server.threads = NonZeroU32::new(1);
    document.auth.enabled = false;
    document.rate_limit.enabled = false;
    document.server.shutdown_grace_ms = 5_000;
    document.router.health_check_interval_ms = 60_000;
    document.origins = origins
        .iter()
        .map(|address| Origin {
            name: address.to_string(),
            url: OriginUrl {
                tls: false,
                host: address.ip().to_string(),
                port: address.port(),
                prefix: String::new(),
            },
            region: None,
            weight: NonZeroU32::MIN,
        })
        .collect();
    change(&mut document);
    Server::start(document).expect("the gateway starts")
}

/// A listener on a free port.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// One end of a connection; every read has a time limit, so that a test fails and does not hang.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("connects"))
    }

    pub(crate) fn accept(listener: &TcpListener) -> Self {
        Self::new(listener.accept().expect("accepts").0)
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("writes");
    }

    /// Reads until `end` stands at the end.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(end.as_bytes()) {
            let read = self.0.read(&mut byte).expect("reads");
            assert!(read > 0, "ended before {end:?}: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&byte);
        }
        String::from_utf8(seen).expect("text")
    }

    /// Reads until the other side closes; a reset counts.
    pub(crate) fn rest(&mut self) -> String {
        let mut seen = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.0.read(&mut part) {
                Ok(0) => break,
                Ok(read) => seen.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&seen)),
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// How long until the other side closes.
    pub(crate) fn time_to_end(&mut self) -> Duration {
        let began = Instant::now();
        self.rest();
        began.elapsed()
    }
}
