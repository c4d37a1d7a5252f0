//! Why the store did not answer.

use alloc::string::String;

use super::resp::RespError;

/// A question to the store that got no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection, or it broke before the answer.
    #[error("the store is not reachable: {0}")]
    Down(String),
    /// The answer did not come within the time allowed.
    #[error("the store did not answer in time")]
    Timeout,
    /// The store answered with an error.
    #[error("the store refused: {message}")]
    Server {
        /// What kind of error.
        class: ServerError,
        /// The store's words.
        message: String,
    },
    /// The answer was not of the protocol, or not the row that was asked for.
    #[error("the store's answer makes no sense: {0}")]
    Protocol(#[from] RespError),
}

/// Kinds of errors a Redis server answers with, by the first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// The script is not loaded: send it whole.
    NoScript,
    /// Credentials are missing or wrong.
    NoAuth,
    /// This user may not do this.
    NoPermission,
    /// `maxmemory` is reached and nothing may be evicted.
    OutOfMemory,
    /// The server is still reading its data.
    Loading,
    /// A replica that takes no writes.
    ReadOnly,
    /// A script runs for too long.
    Busy,
    /// The keys live on another node of the cluster, or are on the move.
    Moved,
    /// Anything else.
    Other,
}

impl StoreError {
    /// The error a server's error line stands for.
    pub fn from_server(line: &[u8]) -> Self {
        let message = String::from_utf8_lossy(line).into_owned();
        let word = message.split(' ').next().unwrap_or_default();
        let class = match word {
            "NOSCRIPT" => ServerError::NoScript,
            "NOAUTH" | "WRONGPASS" => ServerError::NoAuth,
            "NOPERM" => ServerError::NoPermission,
            "OOM" => ServerError::OutOfMemory,
            "LOADING" | "MASTERDOWN" => ServerError::Loading,
            "READONLY" => ServerError::ReadOnly,
            "BUSY" => ServerError::Busy,
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "CROSSSLOT" => ServerError::Moved,
            _ => ServerError::Other,
        };
        Self::Server { class, message }
    }

    /// Whether the store only lacks the script.
    pub fn is_no_script(&self) -> bool {
        matches!(self, Self::Server { class: ServerError::NoScript, .. })
    }
}
