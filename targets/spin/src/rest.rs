//! The store over HTTP.

use acip_core::store::StoreError;
use acip_shell::store::{Endpoint, Fetch, gather, within};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use spin_sdk::wasip3::{http::types::ErrorCode, spawn};

use crate::{body::Outlet, origin, ports::wait};

/// An endpoint.
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
    let (parts, body) = origin::fetch(request).await?.into_parts();
    let all = gather(body).await.map_err(|error| error.unwrap_or(ErrorCode::HttpResponseBodySize(None)))?;
    Ok((parts.status.as_u16(), all))
}
