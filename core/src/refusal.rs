//! Errors that the gateway answers itself: codes, statuses and the two JSON shapes (contract section 7).

use alloc::{borrow::Cow, string::ToString};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::verdict::Answer;

/// The closed list of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Conflict,
    /// 412
    PreconditionFailed,
    /// 413
    PayloadTooLarge,
    /// 431
    HeadersTooLarge,
    /// 429
    RateLimitExceeded,
    /// 500
    InternalError,
    /// 501
    NotImplemented,
    /// 502
    BadGateway,
    /// 503
    StoreUnavailable,
    /// 503
    Overloaded,
    /// 504
    GatewayTimeout,
    /// 508
    LoopDetected,
}

impl ErrorCode {
    /// The code as it stands in the body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::Conflict => "CONFLICT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::HeadersTooLarge => "HEADERS_TOO_LARGE",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::InternalError => "INTERNAL_ERROR",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::BadGateway => "BAD_GATEWAY",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::GatewayTimeout => "GATEWAY_TIMEOUT",
            Self::LoopDetected => "LOOP_DETECTED",
        }
    }

    /// The code with which a plugin refuses, by its status; none where a status has no code, or is not for plugins to give.
    pub fn of_refusal(status: u16) -> Option<Self> {
        Some(match status {
            400 => Self::BadRequest,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            413 => Self::PayloadTooLarge,
            429 => Self::RateLimitExceeded,
            503 => Self::Overloaded,
            _ => return None,
        })
    }

    /// Whether the same request may well pass a little later.
    pub fn is_of_the_moment(self) -> bool {
        matches!(self, Self::RateLimitExceeded | Self::StoreUnavailable | Self::Overloaded)
    }

    /// Its status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RateLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::StoreUnavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::LoopDetected => StatusCode::LOOP_DETECTED,
        }
    }
}

/// Why a request is not served. A refusal is a value, not an error of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What kind.
    pub code: ErrorCode,
    /// What to do about it, for the client; never holds a credential.
    pub message: Cow<'static, str>,
    /// Seconds to wait, rounded up; becomes `Retry-After` and `retryAfter`.
    pub retry_after_s: Option<u64>,
    /// Further facts.
    pub details: Option<serde_json::Value>,
    /// Further response fields: `WWW-Authenticate`, `Allow`, `Proxy-Status`.
    pub headers: HeaderMap,
    /// Short reason for metrics: a fixed word such as `missing` or `unknown`.
    pub reason: &'static str,
    /// Whether the connection must end after the answer: the request's framing cannot be trusted, or its body
    /// was not read.
    pub close: bool,
}

impl Refusal {
    /// A refusal with nothing but code, reason and message. One of the moment (429, 503) says to wait a second, unless
    /// whoever refuses knows better.
    pub fn new(code: ErrorCode, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_s: code.is_of_the_moment().then_some(1),
            details: None,
            headers: HeaderMap::new(),
            reason,
            close: false,
        }
    }

    /// Adds the seconds to wait.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_s = Some(ms.div_ceil(1000).max(1));
        self
    }

    /// Adds a response field.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The answer, in the shape that the client asked for (`problem`: RFC 9457).
    pub fn render(self, request_id: &str, problem: bool) -> Answer {
        let status = self.code.status();
        let mut headers = self.headers;
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let body = if problem {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            let mut body = json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or_default(),
                "status": status.as_u16(),
                "detail": self.message,
                "code": self.code.as_str(),
                "requestId": request_id,
            });
            extend(&mut body, self.retry_after_s, self.details);
            body
        } else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let mut error = json!({
                "code": self.code.as_str(),
                "message": self.message,
                "requestId": request_id,
            });
            extend(&mut error, self.retry_after_s, self.details);
            json!({ "error": error })
        };
        Answer { status, headers, body: body.to_string().into(), close: self.close }
    }
}

fn extend(body: &mut serde_json::Value, retry_after_s: Option<u64>, details: Option<serde_json::Value>) {
    let Some(object) = body.as_object_mut() else { return };
    if let Some(seconds) = retry_after_s {
        object.insert("retryAfter".into(), seconds.into());
    }
    if let Some(details) = details {
        object.insert("details".into(), details);
    }
}
