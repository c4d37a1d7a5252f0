//! A redis-server to compare with, and a connection on the core's own codec.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use acip_core::store::{Decoder, Reply, resp};

/// A redis-server of this test alone.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let args = format!("--port {port} --bind 127.0.0.1 --appendonly no --save");
            let child = Command::new("redis-server")
                .args(args.split(' '))
                .arg("")
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let mut server = Self { child, port };
            // Another test may have taken the port in between: then this server ends by itself.
            while server.child.try_wait().unwrap().is_none() {
                assert!(Instant::now() < deadline, "redis-server does not start");
                let ours = format!("process_id:{}\r", server.child.id());
                if TcpStream::connect(("127.0.0.1", port)).is_ok()
                    && Connection::new(&server)
                        .command(&["INFO", "server"])
                        .text()
                        .unwrap_or_default()
                        .contains(&ours)
                {
                    return server;
                }
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection on the core's own codec.
pub(crate) struct Connection {
    stream: TcpStream,
    decoder: Decoder,
}

impl Connection {
    pub(crate) fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, decoder: Decoder::default() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn reply(&mut self) -> Reply {
        let mut piece = [0; 65536];
        loop {
            if let Some(reply) = self.decoder.next() {
                return reply.unwrap();
            }
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "redis-server closed the connection");
            self.decoder.feed(&piece[..read]);
        }
    }

    pub(crate) fn command(&mut self, words: &[&str]) -> Reply {
        let mut out = Vec::new();
        resp::encode(words, &mut out);
        self.send(&out);
        self.reply()
    }
}
