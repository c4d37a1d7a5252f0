//! What a request gets instead of a result.

use acip_core::store::StoreError;
use http::{HeaderValue, Response, StatusCode, header};

use super::{
    body::{Body, Unread},
    json, reply,
};

/// A status and the text of an error.
pub(super) struct Problem {
    status: StatusCode,
    error: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    /// Redis's own error, or one that stands for it.
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// Nothing the client can do but try again.
    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    pub(super) fn unread(unread: Unread, limit: usize) -> Self {
        match unread {
            Unread::TooLong => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "ERR the request's body is longer than {limit} bytes; send less, or raise `--max-body-bytes`"
                ),
            ),
            Unread::NoMemory => Self::unavailable("ERR too many large requests at once; try again"),
            Unread::TooSlow => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "ERR the request's body stopped coming")
            }
            Unread::Broken => Self::bad("ERR the request's body broke off"),
        }
    }

    /// The error's text where the fault is here or at Redis.
    pub(super) fn outage(&self) -> Option<&str> {
        (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(&self.error)
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut out = Vec::with_capacity(self.error.len() + 16);
        reply::error(self.error.as_bytes(), &mut out);
        let mut response = Body::response(self.status, out, None);
        let (name, value) = match self.status {
            StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::METHOD_NOT_ALLOWED => (header::ALLOW, "GET, HEAD, POST, PUT"),
            // Something of the body may still be on its way.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => (header::CONNECTION, "close"),
            StatusCode::SERVICE_UNAVAILABLE => (header::RETRY_AFTER, "1"),
            _ => return response,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Server { message, .. } => Self::bad(message),
            error => Self::unavailable(format!("ERR {error}")),
        }
    }
}

impl From<json::Malformed> for Problem {
    fn from(error: json::Malformed) -> Self {
        Self::bad(error.to_string())
    }
}
