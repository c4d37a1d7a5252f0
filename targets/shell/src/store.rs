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
//! let store = RestStore::new(Mine, &token)?; // one per instance: it remembers what the server can do
//! let cells = within(sleep(timeout_ms), store.ask(&batch)).await?;
//! ```
//!
//! A platform with a client or a socket of its own keeps a [`Caller`]; its closure sends the words once, and may give what the
//! server says against them as [`Reply::Error`] or as [`StoreError::from_server`]:
//!
//! ```ignore
//! let cells = caller.ask(&batch, async |script, form| {
//!     let words = script.words(&batch, form == Form::Whole);
//!     connection.execute(&words).await
//! });
//! ```

mod reach;

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
};

use acip_core::{
    config::Secret,
    store::{Batch, Cell as StoreCell, Reply, Script, ServerError, StoreError, resp, rest},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::HeaderMap;
use http_body::Body;

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
    sent: Cell<u64>,
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
        let send = async |form| {
            self.sent.set(self.sent.get().saturating_add(1));
            resp::row(call(&self.script, form).await?, batch.width())
        };
        if self.whole.get() {
            return send(Form::Whole).await;
        }
        let refused = match send(Form::Name).await {
            Err(error @ StoreError::Server { .. }) => error,
            answered => return answered,
        };
        if lacks_script(&refused) {
            return send(Form::Whole).await;
        }
        if !lacks_evalsha(&refused) {
            return Err(refused);
        }
        let row = send(Form::Whole).await?;
        self.whole.set(true);
        Ok(row)
    }

    /// Commands sent so far.
    pub fn round_trips(&self) -> u64 {
        self.sent.get()
    }
}

/// A host's own client may put its words before the server's, or name the error in its own way.
fn lacks_script(error: &StoreError) -> bool {
    match error {
        StoreError::Server { message, .. } => {
            error.is_no_script() || message.contains("NOSCRIPT") || message.contains("NoScriptError")
        }
        _ => false,
    }
}

/// Some hosted servers know `EVAL` alone.
fn lacks_evalsha(error: &StoreError) -> bool {
    match error {
        StoreError::Server { class: ServerError::NoPermission, .. } => true,
        StoreError::Server { message, .. } => message.contains("unknown command"),
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
    others: Cell<u64>,
}

impl<F: Fetch> RestStore<F> {
    /// Posts through `fetch` with this token.
    ///
    /// # Errors
    /// A token that cannot stand in a field.
    pub fn new(fetch: F, token: &Secret) -> Result<Self, StoreError> {
        Ok(Self { caller: Caller::new(), fetch, headers: rest::headers(token)?, others: Cell::new(0) })
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
            .ask(batch, async |script, form| self.send(&script.text_words(batch, form == Form::Whole)).await)
            .await
    }

    /// Sends a command of any kind. An error of Redis is a reply.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> Result<Reply, StoreError> {
        self.others.set(self.others.get().saturating_add(1));
        self.send(words).await
    }

    async fn send<T: AsRef<[u8]>>(&self, words: &[T]) -> Result<Reply, StoreError> {
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
        self.others.set(self.others.get().saturating_add(1));
        let body = rest::encode_many(commands)?;
        let (status, body) = self.fetch.post(rest::PIPELINE, &self.headers, body).await?;
        rest::decode_many(status, &body, commands.len())
    }

    /// Requests sent so far.
    pub fn round_trips(&self) -> u64 {
        self.caller.round_trips().saturating_add(self.others.get())
    }
}

/// Waits for the store until the timer completes.
///
/// # Errors
/// [`StoreError::Timeout`], and those of the answer.
pub async fn within<T>(
    timer: impl Future<Output = ()>,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    // The answer is looked at first: one that is there counts, however late the timer is.
    match select(pin!(answer), pin!(timer)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(StoreError::Timeout),
    }
}

/// Reads a reply's body, at most [`MAX_REPLY_BYTES`] of it.
///
/// # Errors
/// That of the body; none where it is too long.
pub async fn gather<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, Option<B::Error>> {
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend_from_slice(&frame.map_err(Some)?.into_data().unwrap_or_default());
        if all.len() > MAX_REPLY_BYTES {
            return Err(None);
        }
    }
    Ok(all.freeze())
}

pub use reach::{Endpoint, NoServer, Reach, Server, Store, one_server};
pub use rest::MAX_ANSWER_BYTES as MAX_REPLY_BYTES;

#[cfg(test)]
mod tests;
