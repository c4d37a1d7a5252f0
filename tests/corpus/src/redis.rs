//! The store's script on a real Redis, over one blocking connection and the core's own codec.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use acip_core::store::{Batch, Cell, Decoder, Reply, Script, resp};

use crate::{
    case::{Case, Need},
    inside::Store,
};

/// A connection to a redis-server that belongs to the runner alone.
pub struct RedisStore {
    stream: TcpStream,
    decoder: Decoder,
    script: Script,
}

impl RedisStore {
    /// Connects to a port of loopback and leaves the script there.
    ///
    /// # Errors
    /// Nobody listens, or it is no Redis.
    pub fn connect(port: u16) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("redis on port {port}: {error}");
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let mut store = Self { stream, decoder: Decoder::default(), script: Script::new() };
        store.command(&["SCRIPT", "LOAD", Script::SOURCE])?;
        Ok(store)
    }

    /// Sends a command of words.
    ///
    /// # Errors
    /// The connection broke, or the server says so.
    pub fn command(&mut self, words: &[&str]) -> Result<Reply, String> {
        let mut out = Vec::new();
        resp::encode(words, &mut out);
        self.ask(&out)
    }

    fn ask(&mut self, command: &[u8]) -> Result<Reply, String> {
        let failed = |error: std::io::Error| format!("redis: {error}");
        self.stream.write_all(command).map_err(failed)?;
        let mut piece = vec![0; 65_536];
        loop {
            if let Some(reply) = self.decoder.next() {
                return match reply.map_err(|error| error.to_string())? {
                    Reply::Error(line) => Err(format!("redis: {}", String::from_utf8_lossy(&line))),
                    reply => Ok(reply),
                };
            }
            let read = self.stream.read(&mut piece).map_err(failed)?;
            if read == 0 {
                return Err("redis closed the connection".to_owned());
            }
            self.decoder.feed(&piece[..read]);
        }
    }

    /// How many scripts the server has run.
    ///
    /// # Errors
    /// See [`RedisStore::command`].
    pub fn scripts_run(&mut self) -> Result<u64, String> {
        let stats = match self.command(&["INFO", "commandstats"])? {
            Reply::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
            _ => String::new(),
        };
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_eval")?.split_once(":calls=")?;
            (name.is_empty() || name == "sha").then(|| rest.split(',').next()?.parse::<u64>().ok()).flatten()
        });
        Ok(calls.sum())
    }
}

impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "Redis"
    }

    fn clear(&mut self) -> Result<(), String> {
        self.command(&["FLUSHALL"]).map(|_| ())
    }

    fn apply(&mut self, batch: &Batch) -> Result<Vec<Cell>, String> {
        let mut out = Vec::new();
        self.script.encode_evalsha(batch, &mut out);
        let reply = self.ask(&out)?;
        resp::row(reply, batch.width()).map_err(|error| error.to_string())
    }

    fn lacks(&self, case: &Case) -> Option<String> {
        // Redis counts time to live by its own clock.
        case.needs.contains(&Need::Expiry).then(|| Need::Expiry.reason().to_owned())
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
