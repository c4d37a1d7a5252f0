//! The store over HTTP.

use std::{cell::Cell, future::poll_fn, pin::Pin};

use acip_core::store::StoreError;
use acip_shell::store::{Fetch, MAX_REPLY_BYTES, within};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body::Body as _;
use spin_sdk::wasip3::{http::types::ErrorCode, spawn};

use crate::{body::Outlet, origin, ports::wait};

/// An endpoint.
pub(crate) struct Endpoint {
    url: String,
    timeout_ms: u64,
    /// Requests since they were last counted.
    pub(crate) sent: Cell<u64>,
}

impl Endpoint {
    /// By its URL.
    pub(crate) fn new(url: &str, timeout_ms: u64) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), timeout_ms: timeout_ms.max(1), sent: Cell::new(0) }
    }
}

impl Fetch for Endpoint {
    async fn post(&self, path: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), StoreError> {
        self.sent.set(self.sent.get().saturating_add(1));
        let posted = async {
            post(&format!("{}{path}", self.url), headers, body).await.map_err(|error| {
                StoreError::Down(match error {
                    ErrorCode::HttpRequestDenied => {
                        "the platform forbids the endpoint; add it to `allowed_outbound_hosts`".into()
                    }
                    other => other.to_string(),
                })
            })
        };
        // Dropping it cancels it.
        within(wait(self.timeout_ms), posted).await
    }
}

async fn post(url: &str, headers: &HeaderMap, body: Vec<u8>) -> Result<(u16, Bytes), ErrorCode> {
    let uri: Uri = url.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let (outlet, taken, ended) = Outlet::new();
    let request = origin::make(&Method::POST, &uri, &headers, Some(taken), ended)?;
    spawn(outlet.put_whole(body.into()));
    let (parts, mut body) = origin::fetch(request).await?.into_parts();
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend_from_slice(&frame?.into_data().unwrap_or_default());
        if all.len() > MAX_REPLY_BYTES {
            return Err(ErrorCode::HttpResponseBodySize(None));
        }
    }
    Ok((parts.status.as_u16(), all.freeze()))
}
