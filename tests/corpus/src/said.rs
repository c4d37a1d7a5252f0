//! Messages as cases write them, as values of `http`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;

use crate::case::{Says, Step};

/// The fields of a message.
///
/// # Errors
/// One that cannot stand in HTTP.
pub(crate) fn fields(fields: &BTreeMap<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::try_from(name).map_err(|error| format!("field `{name}`: {error}"))?;
        let lines = match value {
            Value::Array(lines) => lines.clone(),
            Value::Bool(false) | Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        for line in lines {
            let text = match line {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|error| format!("field `{name}`: {error}"))?;
            headers.append(&name, value);
        }
    }
    Ok(headers)
}

impl Step {
    /// Method and target.
    ///
    /// # Errors
    /// A line that is no request.
    pub(crate) fn line(&self) -> Result<(Method, Uri), String> {
        let wrong = || format!("`{}` is no request: write `GET /path`", self.request);
        let (method, target) = self.request.split_once(' ').ok_or_else(wrong)?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong())?;
        Ok((method, target.parse().map_err(|_| wrong())?))
    }

    /// The body.
    pub(crate) fn bytes(&self) -> Bytes {
        body(self.body.as_ref(), self.json.as_ref()).unwrap_or_default()
    }
}

impl Says {
    /// The fields of the answer.
    ///
    /// # Errors
    /// See [`fields`].
    pub(crate) fn head(&self) -> Result<HeaderMap, String> {
        let mut headers = fields(&self.headers)?;
        if !self.headers.contains_key("content-type") {
            headers.insert("content-type", HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }

    /// The body of the answer.
    pub(crate) fn bytes(&self) -> Bytes {
        body(self.body.as_ref(), self.json.as_ref()).unwrap_or(Bytes::from_static(b"{}"))
    }
}

fn body(text: Option<&String>, json: Option<&Value>) -> Option<Bytes> {
    text.cloned().or_else(|| json.map(ToString::to_string)).map(Bytes::from)
}
