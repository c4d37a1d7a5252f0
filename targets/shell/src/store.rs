//! How a batch is asked, whatever carries it: `EVALSHA` first, `EVAL` where the server lacks the script. And the carrier that most
//! platforms share, Redis over HTTP, over any way to post.
//!
//! It opens no connection and knows no time: the platform's [`Fetch`], or the closure of [`Caller::ask`], moves bytes and
//! keeps the time limit. Over HTTP, a platform needs five lines:
//!
//! ```ignore
//! impl Fetch for Mine {
//!     async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> { … }
//! }
//! let store = RestStore::new(Mine, &token)?;
//! let cells = store.ask(&batch).await?;
//! ```

use std::cell::Cell;

use acip_core::{
    config::Secret,
    store::{Batch, Cell as StoreCell, Reply, Script, ServerError, StoreError, resp, rest},
};
use bytes::Bytes;
use http::HeaderMap;

/// Which command carries the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `EVALSHA`: by its name.
    Name,
    /// `EVAL`: whole, for a server that lacks it.
    Whole,
}

/// Asks batches, and remembers what kind of server it is.
#[derive(Debug, Default)]
pub struct Caller {
    script: Script,
    /// The server takes no `EVALSHA`.
    whole: Cell<bool>,
}

impl Caller {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks a batch through `call`, which sends the script in this form, once, and gives the reply. Nothing that may have been
    /// counted is sent again: a server that refuses the form has not run it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ask(
        &self,
        batch: &Batch,
        call: impl AsyncFn(&Script, Form) -> Result<Reply, StoreError>,
    ) -> Result<Vec<StoreCell>, StoreError> {
        let send = async |form| resp::row(call(&self.script, form).await?, batch.width());
        if self.whole.get() {
            return send(Form::Whole).await;
        }
        let refused = match send(Form::Name).await {
            Err(error @ StoreError::Server { .. }) => error,
            answered => return answered,
        };
        if refused.is_no_script() {
            return send(Form::Whole).await;
        }
        if !lacks_evalsha(&refused) {
            return Err(refused);
        }
        let row = send(Form::Whole).await?;
        self.whole.set(true);
        Ok(row)
    }
}

/// Some hosted servers know `EVAL` alone.
fn lacks_evalsha(error: &StoreError) -> bool {
    match error {
        StoreError::Server { class: ServerError::NoPermission, .. } => true,
        StoreError::Server { message, .. } => message.starts_with("ERR unknown command"),
        _ => false,
    }
}

/// Posts to the endpoint, as the platform does.
pub trait Fetch {
    /// Posts `body` with these fields to the endpoint's URL with `path` at its end, within the store's time limit, and
    /// gives the status and at most [`MAX_REPLY_BYTES`] of body. It follows no redirect, and posts again only where
    /// the server cannot have seen the request.
    ///
    /// # Errors
    /// [`StoreError::Timeout`], or [`StoreError::Down`] with the reason and without the token.
    fn post(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<(u16, Bytes), StoreError>>;
}

/// Redis over HTTP.
#[derive(Debug)]
pub struct RestStore<F> {
    caller: Caller,
    fetch: F,
    headers: HeaderMap,
}

impl<F: Fetch> RestStore<F> {
    /// Posts through `fetch` with this token.
    ///
    /// # Errors
    /// A token that cannot stand in a field.
    pub fn new(fetch: F, token: &Secret) -> Result<Self, StoreError> {
        Ok(Self { caller: Caller::new(), fetch, headers: rest::headers(token)? })
    }

    /// The fields that go with each request.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it posts through.
    pub fn fetch(&self) -> &F {
        &self.fetch
    }

    /// Asks a batch: one request.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        self.caller
            .ask(batch, async |script, form| {
                self.command(&script.text_words(batch, form == Form::Whole)).await
            })
            .await
    }

    /// Sends a command of any kind. An error of Redis is a reply.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> Result<Reply, StoreError> {
        let (status, body) = self.fetch.post(rest::COMMAND, &self.headers, rest::encode(words)?).await?;
        rest::decode(status, &body)
    }

    /// Sends commands of any kind in one request. Errors of Redis are among the replies.
    ///
    /// # Errors
    /// See [`StoreError`]; some commands may have been executed.
    pub async fn commands<T: AsRef<[u8]>>(
        &self,
        commands: &[impl AsRef<[T]>],
    ) -> Result<Vec<Reply>, StoreError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let body = rest::encode_many(commands)?;
        let (status, body) = self.fetch.post(rest::PIPELINE, &self.headers, body).await?;
        rest::decode_many(status, &body, commands.len())
    }
}

/// An answer that is longer is none: it is more than four cached bodies of the largest size that can be configured
/// without thinking, in base64.
pub const MAX_REPLY_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests;
