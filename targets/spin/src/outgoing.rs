//! The driver's response as the platform's.

use acip_shell::Body;
use http::{HeaderValue, Method, Response, StatusCode, header};
use spin_sdk::wasip3::{http::types, spawn};

use crate::{body::Outlet, fields, ports::SpinPorts};

/// Writes a response to a request of this method. Its body is put out after the platform has been given the head; the accounts
/// are closed then, behind the last byte.
pub(crate) fn write(method: &Method, response: Response<Body<SpinPorts>>) -> types::Response {
    let (mut parts, mut body) = response.into_parts();
    let (outlet, taken, ended) = Outlet::new();
    let may_have_body =
        *method != Method::HEAD && !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let whole = body.take_whole();
    let taken = match &whole {
        Some(whole) if whole.is_empty() || !may_have_body => {
            if may_have_body {
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            None
        }
        // A response without a length waits in the platform's server for the acknowledgement of its head.
        Some(whole) => {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
            Some(taken)
        }
        None => may_have_body.then_some(taken),
    };
    spawn(async move {
        match whole {
            Some(whole) => outlet.put_whole(whole).await,
            None => outlet.put(&mut body, may_have_body).await,
        }
        drop(body);
    });
    let (response, _sent) = types::Response::new(fields::write(&parts.headers), taken, ended);
    // Every status of `http` is one.
    let _ = response.set_status_code(parts.status.as_u16());
    response
}
