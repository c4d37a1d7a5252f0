//! A redis-server to compare with, and a connection on the core's own codec.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use acip_core::store::{Decoder, Reply, resp};
use tempfile::TempDir;

/// A redis-server of this test alone, on a socket that no other test can take.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--appendonly", "no", "--save", "", "--unixsocket"])
            .arg(folder.path().join("s"));
        let child = command.current_dir(folder.path()).stdout(Stdio::null()).spawn().unwrap();
        let server = Self { child, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(server.socket()).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not start");
            std::thread::yield_now();
        }
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
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
    stream: UnixStream,
    decoder: Decoder,
}

impl Connection {
    pub(crate) fn new(server: &Server) -> Self {
        let stream = UnixStream::connect(server.socket()).unwrap();
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
