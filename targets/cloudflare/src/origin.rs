//! Requests to origins, by the platform's `fetch`.

use acip_core::OriginFailure;
use acip_shell::{Failure, OriginRequest, Upload};
use http::{Method, Response, StatusCode, Uri, header};
use http_body::Body as _;
use js_sys::Reflect;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::{
    body::{Abort, Broken, Pipe, Streamed},
    fields, platform,
    worker::say,
};

/// Sends a request and waits for the response's head; with it comes the WebSocket of an upgrade.
///
/// # Errors
/// See [`Failure`].
pub(crate) async fn send(
    uri: &Uri,
    request: OriginRequest<'_>,
    upload: Upload<Streamed>,
) -> Result<(Response<Streamed>, Option<JsValue>), Failure> {
    let again = upload.again();
    fetch(uri, request, upload).await.map_err(|error| {
        let error = Broken::from(error).to_string();
        say(&format!("no response from {}: {error}", uri.authority().map_or("", |it| it.as_str())));
        // The platform does not tell a connection that was refused from one that broke, but by what was taken of the body.
        let refused = again.is_whole() && REFUSED.iter().any(|words| error.contains(words));
        let kind = if refused { OriginFailure::Unreachable } else { OriginFailure::Broken };
        Failure { kind, sent: !refused }
    })
}

async fn fetch(
    uri: &Uri,
    request: OriginRequest<'_>,
    upload: Upload<Streamed>,
) -> Result<(Response<Streamed>, Option<JsValue>), JsValue> {
    let controller = web_sys::AbortController::new()?;
    let mut body = JsValue::UNDEFINED;
    // The platform sends none with these, and it could not alter their meaning (RFC 9110 §9.3.1).
    let bodiless = [Method::GET, Method::HEAD].contains(request.method);
    if !upload.is_end_stream() && !bodiless {
        let length = upload.size_hint().exact();
        let pipe = Pipe::new(length)?;
        body = pipe.readable.clone().into();
        let request = controller.clone();
        wasm_bindgen_futures::spawn_local(async move {
            // The platform would send what came until then as if it were the whole.
            if pipe.pump(upload).await.is_err() {
                request.abort();
            }
        });
    }
    let fields = fields::write(request.headers);
    let sent =
        platform::send(&uri.to_string(), request.method.as_str(), &fields, &body, &controller.signal())?;
    let mut abort = Abort::new(controller);
    let answered: web_sys::Response = JsFuture::from(sent).await?.dyn_into()?;
    let headers = fields::read(platform::response_fields(&answered).split('\n'));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let socket = Reflect::get(&answered, &"webSocket".into()).ok().filter(JsValue::is_object);
    if socket.is_some() {
        abort.disarm();
    }
    let mut response = Response::new(Streamed::new(answered.body().as_ref(), length, Some(abort)));
    *response.status_mut() = StatusCode::from_u16(answered.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers;
    Ok((response, socket))
}

/// What the platform says of connections that were never made.
const REFUSED: [&str; 3] = ["refused", "Connection refused", "could not resolve"];
