//! The store: over HTTP by `fetch`, or by its own protocol over a socket of the request's own.

use std::{
    cell::Cell,
    pin::{Pin, pin},
    time::Duration,
};

use acip_core::{
    config::{Secret, StoreSettings},
    store::{Batch, Cell as StoreCell, StoreError},
};
use acip_shell::store::{Fetch, MAX_REPLY_BYTES, RestStore};
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http::HeaderMap;
use http_body::Body as _;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

use crate::{
    body::{Abort, Broken, Streamed},
    fields,
    tcp::Server,
};

/// How the isolate reaches its store. Holds no connection.
pub(crate) enum Store {
    /// Not at all: the isolate's own memory.
    Embedded,
    /// Over HTTP.
    Rest(RestStore<Endpoint>),
    /// By its own protocol.
    Resp(Server),
    /// It cannot be; the reason is for the operator.
    Unusable(String),
}

impl Store {
    /// By its URL.
    pub(crate) fn open(settings: &StoreSettings) -> Self {
        let Some(url) = settings.url.as_ref().map(Secret::expose_secret) else { return Self::Embedded };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Server::parse(url, settings).map_or_else(Self::Unusable, Self::Resp);
        }
        let Some(token) = &settings.rest_token else {
            return Self::Unusable("a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`".into());
        };
        let url = url.trim_end_matches('/').to_owned();
        let endpoint = Endpoint { url, timeout_ms: settings.timeout_ms.max(1), sent: Cell::new(0) };
        match RestStore::new(endpoint, token) {
            Ok(store) => Self::Rest(store),
            Err(error) => Self::Unusable(error.to_string()),
        }
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded)
    }

    /// As `/gateway/health/detailed` names it.
    pub(crate) fn mode(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Rest(_) => "rest",
            Self::Resp(_) => "tcp",
            Self::Unusable(_) => "none",
        }
    }

    /// Asks a batch.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        match self {
            Self::Rest(store) => store.ask(batch).await,
            Self::Resp(server) => server.ask(batch).await,
            Self::Embedded => Err(StoreError::Down("no store is configured".into())),
            Self::Unusable(reason) => Err(StoreError::Down(reason.clone())),
        }
    }

    /// Commands sent since this was last called.
    pub(crate) fn take_count(&self) -> u64 {
        match self {
            Self::Rest(store) => store.fetch().sent.take(),
            Self::Resp(server) => server.sent.take(),
            Self::Embedded | Self::Unusable(_) => 0,
        }
    }
}

/// An endpoint, reached by the platform's `fetch`.
pub(crate) struct Endpoint {
    url: String,
    timeout_ms: u64,
    /// Requests since they were last counted.
    sent: Cell<u64>,
}

impl Fetch for Endpoint {
    async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> {
        self.sent.set(self.sent.get().saturating_add(1));
        let posted = pin!(post(format!("{}{path}", self.url), headers, body));
        let limit = Delay::from(Duration::from_millis(self.timeout_ms));
        match select(posted, pin!(limit)).await {
            Either::Left((answer, _)) => {
                answer.map_err(|error| StoreError::Down(Broken::from(error).to_string()))
            }
            // Dropping it aborts it.
            Either::Right(_) => Err(StoreError::Timeout),
        }
    }
}

async fn post(url: String, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), JsValue> {
    let controller = web_sys::AbortController::new()?;
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_headers(fields::write(headers)?.as_ref());
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_signal(Some(&controller.signal()));
    init.set_body(&Uint8Array::from(body.as_slice()));
    let abort = Abort::new(controller);
    let global: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let answered = JsFuture::from(global.fetch_with_str_and_init(&url, &init)).await?;
    let answered: web_sys::Response = answered.dyn_into()?;
    let length = answered.headers().get("content-length")?.and_then(|length| length.parse().ok());
    let mut body = Streamed::new(answered.body(), length, Some(abort));
    let mut all = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| JsValue::from(error.to_string()))?;
        all.extend_from_slice(&frame.into_data().unwrap_or_default());
        if all.len() > MAX_REPLY_BYTES {
            return Err("the answer is too long".into());
        }
    }
    Ok((answered.status(), all.freeze()))
}
