//! The store: over HTTP by `fetch`, or by its own protocol over a socket of the request's own.

use std::time::Duration;

use acip_core::store::StoreError;
use acip_shell::store::{Endpoint, Fetch, Reach, gather, within};
use bytes::Bytes;
use http::HeaderMap;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Delay;

use crate::{
    body::{Abort, Broken, Streamed},
    fields, platform, tcp,
};

/// How the isolate reaches its store. Holds no connection.
pub(crate) type Store = Reach<Remote, tcp::Server>;

/// An endpoint, reached by the platform's `fetch`.
pub(crate) struct Remote {
    url: String,
    timeout_ms: u64,
}

impl Endpoint for Remote {
    fn new(url: String, timeout_ms: u64) -> Self {
        Self { url, timeout_ms }
    }
}

impl Fetch for Remote {
    async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> {
        let limit = Delay::from(Duration::from_millis(self.timeout_ms));
        let posted = post(format!("{}{path}", self.url), headers, body);
        // Dropping it aborts it.
        within(limit, async {
            posted.await.map_err(|error| StoreError::Down(Broken::from(error).to_string()))
        })
        .await
    }
}

async fn post(url: String, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), JsValue> {
    let controller = web_sys::AbortController::new()?;
    let body = Uint8Array::from(body.as_slice());
    let sent = platform::send(&url, "POST", &fields::write(headers), &body, &controller.signal())?;
    let abort = Abort::new(controller);
    let answered: web_sys::Response = JsFuture::from(sent).await?.dyn_into()?;
    let length = answered.headers().get("content-length")?.and_then(|length| length.parse().ok());
    let body = Streamed::new(answered.body().as_ref(), length, Some(abort));
    let all = gather(body).await.map_err(|error| match error {
        Some(error) => JsValue::from(error.to_string()),
        None => JsValue::from("the answer is too long"),
    })?;
    Ok((answered.status(), all))
}
