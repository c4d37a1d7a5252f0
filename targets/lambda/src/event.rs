//! The events that stand for HTTP requests: function URLs and HTTP APIs (format 2.0), REST APIs (format 1.0), load
//! balancers. Each becomes the same kind of request; nothing is decided here.
//!
//! Start at [`read`]. The shapes are AWS's public ones; what a field may lack is taken as lacking.

mod fields;
mod target;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use serde::{Deserialize, de::IgnoredAny};

use crate::{answer::Envelope, host::RequestBody};
use fields::Pairs;

/// An event as a request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request<RequestBody>,
    pub(crate) caller: Caller,
    pub(crate) envelope: Envelope,
}

/// Who is at the other end, as the platform says; never read from a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// None where the platform does not say (load balancers).
    pub(crate) ip: Option<IpAddr>,
    pub(crate) tls: bool,
}

/// An event that is no request.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) reason: String,
    /// In what shape its sender most likely wants to hear so.
    pub(crate) envelope: Envelope,
}

/// Bytes of a request's body.
pub(crate) const MAX_BODY: u64 = 6 << 20;

/// The peer where the platform names none. It is not a proxy that anybody trusts, unless `TRUSTED_PROXIES` says so.
pub(crate) const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'e> {
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    http_method: Option<String>,
    path: Option<String>,
    headers: Option<Pairs<String>>,
    multi_value_headers: Option<Pairs<Vec<String>>>,
    query_string_parameters: Option<Pairs<String>>,
    multi_value_query_string_parameters: Option<Pairs<Vec<String>>>,
    request_context: Context,
    #[serde(borrow)]
    body: Option<Cow<'e, str>>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    http: Option<Http>,
    identity: Option<Identity>,
    elb: Option<IgnoredAny>,
    stage: Option<String>,
    domain_name: Option<String>,
    api_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

impl Context {
    /// Whether this is a function URL. It is an API of its own; emulators name none.
    fn is_url(&self) -> bool {
        let named = self.domain_name.as_deref().is_some_and(|name| name.contains(".lambda-url."));
        named || self.api_id.is_none()
    }
}

/// Reads an event.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(event: &[u8]) -> Result<Call, Unreadable> {
    let event: Event<'_> = serde_json::from_slice(event)
        .map_err(|error| Unreadable { reason: error.to_string(), envelope: Envelope::Stream })?;
    let (envelope, caller) = (event.envelope(), event.caller());
    match event.request() {
        Ok(request) => Ok(Call { request, caller, envelope }),
        Err(reason) => Err(Unreadable { reason, envelope }),
    }
}

impl Event<'_> {
    fn envelope(&self) -> Envelope {
        let context = &self.request_context;
        if context.elb.is_some() {
            return if self.multi_value_headers.is_some() { Envelope::Lists } else { Envelope::Single };
        }
        if context.http.is_none() {
            return Envelope::Lists;
        }
        if context.is_url() { Envelope::Stream } else { Envelope::Cookies }
    }

    fn caller(&self) -> Caller {
        let context = &self.request_context;
        let ip = match (&context.http, &context.identity) {
            (Some(http), _) => http.source_ip.as_deref(),
            (None, Some(identity)) => identity.source_ip.as_deref(),
            (None, None) => None,
        };
        let ip = ip.and_then(|ip| ip.parse::<IpAddr>().ok()).map(|ip| ip.to_canonical());
        Caller { ip, tls: context.elb.is_none() }
    }

    fn request(self) -> Result<Request<RequestBody>, String> {
        let (method, uri) = self.target()?;
        let body = self.content()?;
        let mut headers = self.fields()?;
        // The event holds the whole body, whatever the client's framing was.
        headers.remove(header::TRANSFER_ENCODING);
        if !body.is_empty() || headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let domain = self.request_context.domain_name.as_deref();
        if !headers.contains_key(header::HOST)
            && let Some(domain) = domain.and_then(|domain| HeaderValue::try_from(domain).ok())
        {
            headers.insert(header::HOST, domain);
        }
        let mut request = Request::new(RequestBody::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn target(&self) -> Result<(Method, Uri), String> {
        let context = &self.request_context;
        let target = if let Some(http) = &context.http {
            let path = self.raw_path.as_deref().ok_or("`rawPath` is missing")?;
            let path = target::without_stage(path, context.stage.as_deref());
            let query = self.raw_query_string.as_deref().unwrap_or_default();
            // An HTTP API decodes the path, a function URL hands it over as it came.
            (http.method.as_str(), target::join(path, !context.is_url(), query))
        } else {
            let method = self.http_method.as_deref().ok_or("`httpMethod` is missing")?;
            let path = self.path.as_deref().ok_or("`path` is missing")?;
            let (one, many) = (&self.query_string_parameters, &self.multi_value_query_string_parameters);
            // A load balancer hands parameters over as they came, API Gateway decodes them.
            let query = target::query(one.as_ref(), many.as_ref(), context.elb.is_none());
            (method, target::join(path, context.elb.is_none(), &query))
        };
        let (method, target) = target;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no method"))?;
        let uri = Uri::try_from(target.as_str()).map_err(|error| format!("`{target}`: {error}"))?;
        Ok((method, uri))
    }

    fn content(&self) -> Result<Bytes, String> {
        let body = self.body.as_deref().unwrap_or_default();
        if self.is_base64_encoded != Some(true) {
            return Ok(Bytes::copy_from_slice(body.as_bytes()));
        }
        STANDARD.decode(body).map(Bytes::from).map_err(|error| format!("`body` is no base64: {error}"))
    }

    fn fields(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is no field name"))?;
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| format!("the value of `{name}` is no field value"))?;
            headers.append(name, value);
            Ok::<_, String>(())
        };
        match (&self.multi_value_headers, &self.headers) {
            (Some(many), _) if !many.0.is_empty() => {
                for (name, values) in &many.0 {
                    values.iter().try_for_each(|value| add(name, value))?;
                }
            }
            (_, Some(one)) => one.0.iter().try_for_each(|(name, value)| add(name, value))?,
            _ => {}
        }
        if let Some(cookies) = self.cookies.as_deref().filter(|cookies| !cookies.is_empty()) {
            let value = HeaderValue::try_from(cookies.join("; "));
            headers.insert(header::COOKIE, value.map_err(|_| "`cookies` are no field value")?);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests;
