//! The store through the platform's own Redis client, which runs one command per call and flattens nested replies.

use std::{cell::RefCell, rc::Rc};

use acip_core::{
    config::{RedisAddress, Secret},
    store::{Batch, Cell as StoreCell, Reply, StoreError},
};
use acip_shell::store::{self, Caller, Form, within};
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};

use crate::{address, ports::wait};

/// One server.
pub(crate) struct Server {
    address: Secret,
    timeout_ms: u64,
    caller: Caller,
    /// Kept between requests of this instance, until it fails.
    connection: RefCell<Option<Rc<Connection>>>,
}

impl store::Server for Server {
    fn open(address: RedisAddress, timeout_ms: u64) -> Result<Self, String> {
        Ok(Self {
            address: Secret::new(address::url(address)?),
            timeout_ms,
            caller: Caller::new(),
            connection: RefCell::default(),
        })
    }
}

impl store::Store for Server {
    fn mode(&self) -> &'static str {
        "spin"
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        let asked = self
            .caller
            .ask(batch, async |script, form| self.execute(script.words(batch, form == Form::Whole)).await);
        within(wait(self.timeout_ms), asked).await.inspect_err(|_| drop(self.connection.take()))
    }

    fn round_trips(&self) -> u64 {
        self.caller.round_trips()
    }
}

impl Server {
    async fn execute(&self, words: Vec<Vec<u8>>) -> Result<Reply, StoreError> {
        let mut words = words.into_iter();
        let command = String::from_utf8(words.next().unwrap_or_default()).unwrap_or_default();
        let connection = self.connect().await?;
        let results = connection.execute(command, words.map(RedisParameter::Binary)).await.map_err(failed)?;
        Ok(Reply::Array(results.into_iter().map(reply).collect()))
    }

    async fn connect(&self) -> Result<Rc<Connection>, StoreError> {
        if let Some(connection) = &*self.connection.borrow() {
            return Ok(Rc::clone(connection));
        }
        let opened = Connection::open(self.address.expose_secret()).await.map_err(failed)?;
        let opened = Rc::new(opened);
        self.connection.replace(Some(Rc::clone(&opened)));
        Ok(opened)
    }
}

fn reply(result: RedisResult) -> Reply {
    match result {
        RedisResult::Nil => Reply::Nil,
        RedisResult::Status(line) => Reply::Status(line.into()),
        RedisResult::Int64(number) => Reply::Int(number),
        RedisResult::Binary(bytes) => Reply::Bulk(bytes.into()),
    }
}

/// The platform tells what the server says and what became of the connection in the same way.
fn failed(error: Error) -> StoreError {
    match error {
        Error::InvalidAddress => StoreError::Down(
            "the platform does not take the address; it may have to be added to `allowed_outbound_hosts`"
                .into(),
        ),
        Error::TooManyConnections => StoreError::Down("the platform allows no further connection".into()),
        Error::TypeError => StoreError::Down("the platform cannot pass the answer on".into()),
        Error::Other(message) => match SERVER_WORDS.iter().find(|(words, _)| message.contains(words)) {
            Some((_, class)) => StoreError::from_server(format!("{class} {message}").as_bytes()),
            None => StoreError::Down(message),
        },
    }
}

/// How the platform's client spells what a server refuses a command with, and the server's own word for it. A client of another
/// version spells it otherwise: the parts that stay.
const SERVER_WORDS: [(&str, &str); 5] = [
    ("NoScript", "NOSCRIPT"),
    ("NOSCRIPT", "NOSCRIPT"),
    ("NOPERM", "NOPERM"),
    ("unknown command", "ERR"),
    ("signalled by the server", "ERR"),
];
