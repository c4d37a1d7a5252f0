//! Field names that the `http` crate does not know.

use http::HeaderName;

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    CACHE_STATUS = "cache-status";
    CONTENT_DIGEST = "content-digest";
    CONTENT_MD5 = "content-md5";
    DIGEST = "digest";
    KEEP_ALIVE = "keep-alive";
    PROXY_CONNECTION = "proxy-connection";
    PROXY_STATUS = "proxy-status";
    RATELIMIT = "ratelimit";
    RATELIMIT_POLICY = "ratelimit-policy";
    REPR_DIGEST = "repr-digest";
    TRACEPARENT = "traceparent";
    TRACESTATE = "tracestate";
    X_API_KEY = "x-api-key";
    X_FORWARDED_FOR = "x-forwarded-for";
    X_FORWARDED_HOST = "x-forwarded-host";
    X_FORWARDED_PROTO = "x-forwarded-proto";
    X_GATEWAY_CACHE = "x-gateway-cache";
    X_GATEWAY_DURATION = "x-gateway-duration";
    X_GATEWAY_VERSION = "x-gateway-version";
    X_RATELIMIT_LIMIT = "x-ratelimit-limit";
    X_RATELIMIT_REMAINING = "x-ratelimit-remaining";
    X_RATELIMIT_RESET = "x-ratelimit-reset";
    X_REQUEST_ID = "x-request-id";
    X_SIGNATURE = "x-signature";
    X_SIGNATURE_SKIPPED = "x-signature-skipped";
    X_TIMESTAMP = "x-timestamp";
    X_WORKER_TOKEN = "x-worker-token";
}
