//! The driver's response as the platform's.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use acip_shell::Body;
use futures_util::Stream;
use http::{Response, StatusCode, header};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::JsValue;

use crate::{
    body::{self, Pulled},
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
    let sending = Rc::new(RefCell::new(Some(Sending { body: Pulled::response(body), _held: held })));
    let left = Rc::clone(&sending);
    leaving.then(move || drop(left.take()));
    let stream = body::stream(Sent { sending, _leaving: leaving }, length)?;
    web_sys::Response::new_with_opt_readable_stream_and_init(Some(&stream), &init)
}

/// A body on its way, and what holds its request.
struct Sending {
    body: Pulled<Body<WorkerPorts>>,
    _held: Held,
}

/// What the platform pulls. It ends at once when the client leaves.
struct Sent {
    sending: Rc<RefCell<Option<Sending>>>,
    _leaving: Leaving,
}

impl Stream for Sent {
    type Item = Result<JsValue, JsValue>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut sending = self.sending.borrow_mut();
        let Some(now) = sending.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(&mut now.body).poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            *sending = None;
        }
        polled
    }
}
