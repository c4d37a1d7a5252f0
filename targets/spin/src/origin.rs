//! Requests that leave the component, by the platform's HTTP client.

use acip_core::{OriginFailure, config::LogLevel, telemetry::notice};
use acip_shell::{Failure, OriginRequest, Upload};
use http::{
    HeaderMap, HeaderValue, Method, Response, Uri, header,
    uri::{Authority, PathAndQuery},
};
use http_body::Body as _;
use spin_sdk::{
    http::send as send_by_platform,
    wasip3::{
        http::types::{ErrorCode, Fields, Request},
        spawn,
        wit_bindgen::{FutureReader, StreamReader},
    },
};

use crate::{
    body::{Outlet, Streamed},
    fields,
    ports::now_ms,
    service::say,
};

/// Sends a request and waits for the response's head.
///
/// # Errors
/// See [`Failure`].
pub(crate) async fn send(
    uri: &Uri,
    request: OriginRequest<'_>,
    upload: Upload<Streamed>,
) -> Result<Response<Streamed>, Failure> {
    let mut headers = request.headers.clone();
    let (outlet, taken, ended) = Outlet::new();
    let taken = if upload.is_end_stream() {
        // Else the platform would announce chunks, of which none comes.
        if !BODILESS.contains(request.method) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        spawn(outlet.put(upload, false));
        drop(taken);
        None
    } else {
        if let Some(length) = upload.size_hint().exact() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        spawn(outlet.put(upload, false));
        Some(taken)
    };
    let sent = async { fetch(make(request.method, uri, &headers, taken, ended)?).await };
    sent.await.map_err(|error| {
        let authority = uri.authority().map_or("", Authority::as_str);
        let detail = format!("{authority}: {error}");
        say(&notice::json_line(now_ms(), LogLevel::Warn, "no response from the origin", Some(&detail)));
        failure(&error)
    })
}

/// A request for the platform.
///
/// # Errors
/// The platform finds it wrong.
pub(crate) fn make(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Option<StreamReader<u8>>,
    ending: FutureReader<Result<Option<Fields>, ErrorCode>>,
) -> Result<Request, ErrorCode> {
    let (request, _sent) = Request::new(fields::write(headers), body, ending, None);
    request.set_method(&method.clone().into()).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    let bad = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(uri.scheme().map(Into::into).as_ref()).map_err(bad)?;
    request.set_authority(uri.authority().map(Authority::as_str)).map_err(bad)?;
    request.set_path_with_query(uri.path_and_query().map(PathAndQuery::as_str)).map_err(bad)?;
    Ok(request)
}

/// Sends it and waits for the head. Dropping the future, or the body, cancels it.
///
/// # Errors
/// As the platform names them.
pub(crate) async fn fetch(request: Request) -> Result<Response<Streamed>, ErrorCode> {
    let (parts, mut body) = send_by_platform(request).await?.into_parts();
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Streamed::of(body.take_unstarted(), length).await;
    Ok(Response::from_parts(parts, body))
}

fn failure(error: &ErrorCode) -> Failure {
    let kind = match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => OriginFailure::Denied,
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsProtocolError
        | ErrorCode::TlsCertificateError
        | ErrorCode::TlsAlertReceived(_) => OriginFailure::Unreachable,
        _ => OriginFailure::Broken,
    };
    Failure { kind, sent: kind == OriginFailure::Broken }
}

/// Methods whose requests have no body unless they say so.
const BODILESS: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
