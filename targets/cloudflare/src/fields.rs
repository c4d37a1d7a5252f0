//! Header fields between the platform and `http`. Strings there stand for bytes: each character is one.

use http::{HeaderMap, HeaderName, HeaderValue};
use js_sys::Array;
use wasm_bindgen::JsValue;

/// The platform's fields; repeated ones come joined, but for `Set-Cookie`. One that cannot be read is left out.
pub(crate) fn read(fields: &web_sys::Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for entry in fields.entries().into_iter().flatten() {
        let entry = Array::from(&entry);
        let (Some(name), Some(value)) = (entry.get(0).as_string(), entry.get(1).as_string()) else {
            continue;
        };
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(&bytes(&value));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Fields for the platform.
///
/// # Errors
/// The platform refuses one.
pub(crate) fn write(map: &HeaderMap) -> Result<web_sys::Headers, JsValue> {
    let fields = web_sys::Headers::new()?;
    for (name, value) in map {
        fields.append(name.as_str(), &text(value.as_bytes()))?;
    }
    Ok(fields)
}

fn bytes(text: &str) -> Vec<u8> {
    let narrow: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    // Where the platform has read the bytes as UTF-8.
    narrow.unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
