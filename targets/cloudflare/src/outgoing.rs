//! The driver's response as the platform's.

use std::pin::pin;

use acip_shell::Body;
use futures_util::future::select;
use http::{Response, StatusCode, header};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::JsValue;
use worker::Context;

use crate::{
    body::Pipe,
    fields,
    leaving::{Held, Leaving},
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
    let init = web_sys::ResponseInit::new();
    init.set_status(parts.status.as_u16());
    init.set_headers(fields::write(&parts.headers)?.as_ref());
    // Bytes pass as the origin encoded them.
    Reflect::set(&init, &"encodeBody".into(), &"manual".into())?;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let socket = ports.take_socket().ok_or_else(|| JsValue::from("an upgrade without a socket"))?;
        Reflect::set(&init, &"webSocket".into(), &socket)?;
        return web_sys::Response::new_with_opt_str_and_init(None, &init);
    }
    if let Some(whole) = body.take_whole() {
        let bytes = (!whole.is_empty()).then(|| Uint8Array::from(whole.as_ref()));
        return web_sys::Response::new_with_opt_js_u8_array_and_init(bytes.as_ref(), &init);
    }
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let pipe = Pipe::new(length)?;
    let under_way = pipe.under_way(asked);
    let readable = pipe.readable.clone();
    context.wait_until(async move {
        // Either end drops the body, which tells the origin and the accounts.
        let _ = select(pin!(pipe.pump(body)), leaving).await;
        drop((under_way, held));
    });
    web_sys::Response::new_with_opt_readable_stream_and_init(Some(&readable), &init)
}
