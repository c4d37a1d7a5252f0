//! The calls of `platform.js`: each does in one step what would take many across the border.

use js_sys::Promise;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use web_sys::{
    AbortSignal, ReadableStream, ReadableStreamDefaultReader, Request, Response, TransformStream,
    WritableStreamDefaultWriter,
};

#[wasm_bindgen(module = "/src/platform.js")]
extern "C" {
    #[wasm_bindgen(js_name = requestHead)]
    pub(crate) fn request_head(request: &Request) -> String;

    #[wasm_bindgen(js_name = responseFields)]
    pub(crate) fn response_fields(response: &Response) -> String;

    #[wasm_bindgen(catch)]
    pub(crate) fn send(
        url: &str,
        method: &str,
        fields: &str,
        body: &JsValue,
        signal: &AbortSignal,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn respond(
        status: u16,
        fields: &str,
        body: &JsValue,
        socket: &JsValue,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn pipe(length: Option<f64>) -> Result<TransformStream, JsValue>;

    pub(crate) fn finish(writer: &WritableStreamDefaultWriter, piece: &JsValue) -> Promise;

    pub(crate) fn quit(reader: &ReadableStreamDefaultReader);

    /// An open connection.
    pub(crate) type Conversation;

    #[wasm_bindgen(catch)]
    pub(crate) fn converse(host: &str, port: u16, tls: &str, bytes: &[u8]) -> Result<Conversation, JsValue>;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn readable(this: &Conversation) -> ReadableStream;

    #[wasm_bindgen(js_name = hangUp)]
    pub(crate) fn hang_up(socket: &Conversation);

    /// What a read gives.
    pub(crate) type Read;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn done(this: &Read) -> bool;

    #[wasm_bindgen(method, getter)]
    pub(crate) fn value(this: &Read) -> JsValue;
}
