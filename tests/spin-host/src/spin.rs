//! What Spin gives a component besides WASI: its variables, and Redis. Redis answers as there: one command per call, nested
//! replies flattened, and every failure but a forbidden address as text.

use std::sync::Arc;

use redis::{RedisError, Value, aio::MultiplexedConnection};
use wasmtime::component::{Accessor, HasData, Linker, Resource};

use self::spin::{
    redis::redis::{self as redis_wit, Error, RedisParameter, RedisResult},
    variables::variables as variables_wit,
};
use crate::state::{App, State};

wasmtime::component::bindgen!({
    path: "wit",
    world: "acip:spin-host/host",
    with: { "spin:redis/redis.connection": Connection },
});

/// A connection that a component holds.
#[expect(unreachable_pub, reason = "the generated bindings name it")]
pub struct Connection(MultiplexedConnection);

/// Names the data that the interfaces work on.
pub(crate) struct OfSpin;

impl HasData for OfSpin {
    type Data<'a> = &'a mut State;
}

/// Adds both interfaces.
///
/// # Errors
/// They are there already.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    redis_wit::add_to_linker::<_, OfSpin>(linker, |state| state)?;
    variables_wit::add_to_linker::<_, OfSpin>(linker, |state| state)
}

fn app(accessor: &Accessor<State, OfSpin>) -> Arc<App> {
    accessor.with(|mut access| Arc::clone(&access.get().app))
}

impl variables_wit::Host for &mut State {}

impl variables_wit::HostWithStore<State> for OfSpin {
    async fn get(accessor: &Accessor<State, Self>, name: String) -> Result<String, variables_wit::Error> {
        match app(accessor).variables.get(&name) {
            Some(value) => Ok(value.clone()),
            None => Err(variables_wit::Error::Undefined(format!("no variable for `{name}`"))),
        }
    }
}

impl redis_wit::Host for &mut State {}

impl redis_wit::HostConnection for &mut State {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl redis_wit::HostConnectionWithStore<State> for OfSpin {
    async fn open(accessor: &Accessor<State, Self>, address: String) -> Result<Resource<Connection>, Error> {
        if !app(accessor).allowed.allow_url(&address) {
            return Err(Error::InvalidAddress);
        }
        let client = redis::Client::open(address.as_str()).map_err(|_| Error::InvalidAddress)?;
        let connection = client.get_multiplexed_async_connection().await.map_err(|error| failed(&error))?;
        accessor.with(|mut access| {
            access.get().table.push(Connection(connection)).map_err(|_| Error::TooManyConnections)
        })
    }

    async fn execute(
        accessor: &Accessor<State, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let mut connection = accessor
            .with(|mut access| access.get().table.get(&connection).map(|connection| connection.0.clone()))
            .map_err(other)?;
        let mut command = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let value: Value = command.query_async(&mut connection).await.map_err(|error| failed(&error))?;
        let mut results = Vec::new();
        flatten(value, &mut results)?;
        Ok(results)
    }
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

/// A failure in the words of the client that Spin 4 has.
fn failed(error: &RedisError) -> Error {
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("NOSCRIPT") => other(format!("An error was signalled by the server - NoScriptError: {detail}")),
        Some("ERR") => other(format!("An error was signalled by the server - ResponseError: {detail}")),
        Some(code) => other(format!("{code}: {detail}")),
        None => other(error),
    }
}

fn flatten(value: Value, results: &mut Vec<RedisResult>) -> Result<(), Error> {
    results.push(match value {
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::Boolean(flag) => RedisResult::Int64(flag.into()),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::SimpleString(line) => RedisResult::Status(line),
        Value::Okay => RedisResult::Status("OK".into()),
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| flatten(value, results));
        }
        Value::ServerError(error) => return Err(other(error)),
        _ => return Err(Error::Other("could not convert the reply".into())),
    });
    Ok(())
}
