//! Redis by its own protocol, over a socket that lives as long as one question: the platform lends no socket to another request.
//! What logs in and what asks go out in one write.

use std::{future::poll_fn, time::Duration};

use acip_core::{
    config::RedisAddress,
    store::{Batch, Cell as StoreCell, Decoder, Reply, StoreError},
};
use acip_shell::store::{self, Caller, Form, within};
use wasm_bindgen::JsValue;
use worker::Delay;

use crate::{
    body::{Broken, Reader},
    platform,
};

/// One server.
pub(crate) struct Server {
    host: String,
    port: u16,
    tls: bool,
    /// `AUTH` and `SELECT`, as far as they are needed, already written.
    login: Vec<u8>,
    /// Answers to those.
    logins: usize,
    timeout_ms: u64,
    caller: Caller,
}

impl store::Server for Server {
    fn open(address: RedisAddress, timeout_ms: u64) -> Result<Self, String> {
        let server = store::one_server(address.servers)?;
        let mut login = Vec::new();
        let logins = address.login.encode(&mut login);
        Ok(Self {
            host: server.url_host(),
            port: server.port,
            tls: address.tls,
            login,
            logins,
            timeout_ms,
            caller: Caller::new(),
        })
    }
}

impl store::Store for Server {
    fn mode(&self) -> &'static str {
        "tcp"
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        self.caller
            .ask(batch, async |script, form| {
                let mut out = self.login.clone();
                match form {
                    Form::Name => script.encode_evalsha(batch, &mut out),
                    Form::Whole => script.encode_eval(batch, &mut out),
                }
                let limit = Delay::from(Duration::from_millis(self.timeout_ms));
                within(limit, self.exchange(&out)).await
            })
            .await
    }

    fn round_trips(&self) -> u64 {
        self.caller.round_trips()
    }
}

impl Server {
    async fn exchange(&self, out: &[u8]) -> Result<Reply, StoreError> {
        let down = |error: JsValue| StoreError::Down(Broken::from(error).to_string());
        let tls = if self.tls { "on" } else { "off" };
        let socket = platform::converse(&self.host, self.port, tls, out).map_err(down)?;
        let mut reader = Reader::new(&socket.readable());
        let mut decoder = Decoder::default();
        let mut left = self.logins;
        loop {
            while let Some(reply) = decoder.next() {
                match reply? {
                    Reply::Push(_) => {}
                    Reply::Error(line) if left > 0 => return Err(StoreError::from_server(&line)),
                    _ if left > 0 => left -= 1,
                    reply => {
                        platform::hang_up(&socket);
                        return Ok(reply);
                    }
                }
            }
            match poll_fn(|cx| reader.poll(cx)).await {
                None => return Err(StoreError::Down("closed by the server".into())),
                Some(read) => decoder.feed(&read.map_err(down)?),
            }
        }
    }
}
