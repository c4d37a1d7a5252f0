//! Values that the cases of several plugins start from.

use alloc::{string::ToString, sync::Arc, vec, vec::Vec};
use core::num::NonZeroU32;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::{
    Facts, Gateway, RequestHead, Step, Verdict,
    config::*,
    facts::Entropy,
    plugins::cors,
    verdict::{Answer, Forward},
};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW_MS: u64 = 1_767_225_600_000;

/// Two origins, no trusted proxies, everything else as it ships.
pub(crate) fn document() -> Document {
    let origin = |name: &str, port| Origin {
        name: name.to_string(),
        url: OriginUrl { tls: false, host: "127.0.0.1".into(), port, prefix: "".into() },
        region: None,
        weight: NonZeroU32::MIN,
    };
    Document { origins: vec![origin("a", 8000), origin("b", 8001)], ..Document::default() }
}

/// Facts of a plain connection from 192.0.2.1.
pub(crate) fn facts() -> Facts {
    Facts {
        entropy: Entropy { request: [7; 16], trace: [8; 16], span: [9; 8], draw: 0 },
        can_upgrade: true,
        ..Facts::at(NOW_MS, [192, 0, 2, 1].into())
    }
}

/// A head of HTTP/1.1 with `Host`, unless the fields name one (`host:` alone leaves it out).
pub(crate) fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = HeaderMap::new();
    if !fields.iter().any(|(name, _)| *name == "host") {
        headers.insert("host", HeaderValue::from_static("gateway.example"));
    }
    for (name, value) in fields.iter().filter(|(name, value)| *name != "host" || !value.is_empty()) {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    RequestHead {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        uri: target.parse().unwrap(),
        version: Version::HTTP_11,
        headers,
    }
}

/// A gateway that asks nobody: CORS is its only plugin.
pub(crate) fn gateway(document: Document) -> Arc<Gateway> {
    let cors = Arc::new(cors::Cors::new(&document));
    Arc::new(Gateway::with_plugins(document, vec![cors]).unwrap())
}

/// What a gateway without other plugins forwards.
pub(crate) fn forwarded(document: Document, head: RequestHead, facts: Facts) -> Forward {
    match gateway(document).begin(head, facts) {
        Step::Settled(Verdict::Forward(forward)) => *forward,
        Step::Settled(Verdict::Reply(reply)) => panic!("answered {:?}", reply.answer),
        _ => panic!("neither answered nor forwarded"),
    }
}

/// What a gateway without other plugins answers itself.
pub(crate) fn answered(document: Document, head: RequestHead, facts: Facts) -> Answer {
    match gateway(document).begin(head, facts) {
        Step::Settled(Verdict::Reply(reply)) => reply.answer,
        _ => panic!("not answered"),
    }
}

/// The lines of a field, joined; empty if it is not there.
pub(crate) fn field(headers: &HeaderMap, name: &str) -> alloc::string::String {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
    lines.join(", ")
}
