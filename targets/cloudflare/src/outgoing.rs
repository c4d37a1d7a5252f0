//! The driver's response as the platform's.

use std::pin::pin;

use acip_shell::Body;
use futures_util::future::select;
use http::{Response, StatusCode, header};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use worker::Context;

use crate::{
    body::Pipe,
    fields,
    leaving::{Held, Leaving},
    platform,
    ports::WorkerPorts,
};

/// Writes a response. The request is held until its body has ended, or its client has left.
///
/// # Errors
/// The platform refuses a field.
pub(crate) fn write(
    response: Response<Body<WorkerPorts>>,
    ports: &WorkerPorts,
    asked: &web_sys::Request,
    context: &Context,
    leaving: Leaving,
    held: Held,
) -> Result<web_sys::Response, JsValue> {
    let (parts, mut body) = response.into_parts();
    let (status, fields) = (parts.status.as_u16(), fields::write(&parts.headers));
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let socket = ports.take_socket().ok_or_else(|| JsValue::from("an upgrade without a socket"))?;
        return platform::respond(status, &fields, &JsValue::NULL, &socket);
    }
    if let Some(whole) = body.take_whole() {
        let bytes = if whole.is_empty() { JsValue::NULL } else { Uint8Array::from(whole.as_ref()).into() };
        return platform::respond(status, &fields, &bytes, &JsValue::UNDEFINED);
    }
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let pipe = Pipe::new(length)?;
    let under_way = pipe.under_way(asked);
    let response = platform::respond(status, &fields, &pipe.readable, &JsValue::UNDEFINED)?;
    context.wait_until(async move {
        // Either end drops the body, which tells the origin and the accounts.
        let _ = select(pin!(pipe.pump(body)), leaving).await;
        drop((under_way, held));
    });
    Ok(response)
}
