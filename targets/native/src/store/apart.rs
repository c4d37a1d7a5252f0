//! A connection of one caller's own: for commands that block, and for subscriptions, which would hold up everybody on a
//! shared one.

use acip_core::{
    config::StoreSettings,
    store::{Decoder, Reply, StoreError, resp},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{address::AddressError, sentinel::Route, stream::Stream};

/// A logged-in connection. Dropping it closes it, and Redis forgets what was blocked or subscribed on it.
pub struct Apart {
    stream: Box<dyn Stream>,
    decoder: Decoder,
}

impl Apart {
    /// Connects; without a time limit but that of connecting itself, two seconds.
    ///
    /// # Errors
    /// [`StoreError::Down`] with the reason. In a cluster no single connection can serve all keys.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let down = |error: AddressError| StoreError::Down(error.to_string());
        let Some(address) = settings.redis() else {
            return Err(StoreError::Down(
                "only a server by its own protocol takes commands on a connection".into(),
            ));
        };
        let (stream, decoder) = Route::new(address).map_err(down)?.open().await.map_err(StoreError::Down)?;
        Ok(Self { stream, decoder })
    }

    /// Sends commands in one write.
    ///
    /// # Errors
    /// [`StoreError::Down`] where the connection broke.
    pub async fn send<T: AsRef<[u8]>>(&mut self, commands: &[impl AsRef<[T]>]) -> Result<(), StoreError> {
        let mut out = Vec::new();
        for command in commands {
            resp::encode(command.as_ref(), &mut out);
        }
        let written = match self.stream.write_all(&out).await {
            Ok(()) => self.stream.flush().await,
            error => error,
        };
        written.map_err(|error| StoreError::Down(error.to_string()))
    }

    /// The next reply or message, however long it takes. Cancel-safe.
    ///
    /// # Errors
    /// [`StoreError`] where the connection broke or what came is no RESP.
    pub async fn next(&mut self) -> Result<Reply, StoreError> {
        loop {
            if let Some(reply) = self.decoder.next() {
                return Ok(reply?);
            }
            self.decoder.buffer_mut().reserve(READ_BYTES);
            match self.stream.read_buf(self.decoder.buffer_mut()).await {
                Ok(0) => return Err(StoreError::Down("closed by the server".into())),
                Ok(_) => {}
                Err(error) => return Err(StoreError::Down(error.to_string())),
            }
        }
    }
}

/// Room made before each read.
const READ_BYTES: usize = 4 * 1024;
