//! Values that the cases of several plugins start from.

use alloc::{string::ToString, sync::Arc, vec, vec::Vec};
use core::{net::IpAddr, num::NonZeroU32};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::{
    Facts, Gateway, RequestHead, Step, Verdict,
    config::*,
    facts::{Entropy, Hints, Peer},
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
    let regions =
        [("us-west", "us-west"), ("us", "us-west"), ("eu-central", "eu-central"), ("de", "eu-central")];
    Document {
        server: Server {
            host: IpAddr::from([0, 0, 0, 0]),
            port: 3000,
            threads: None,
            tls_cert: None,
            tls_key: None,
            shutdown_grace_ms: 30_000,
            max_body_bytes: 104_857_600,
            max_header_bytes: 65_536,
            max_connections: 1024,
            trusted_proxies: Vec::new(),
        },
        origins: vec![origin("a", 8000), origin("b", 8001)],
        upstream: Upstream {
            timeout_ms: 30_000,
            stream_idle_timeout_ms: 60_000,
            signing_secret: None,
            buffer_bytes: 1_048_576,
        },
        store: StoreSettings {
            url: None,
            password: None,
            db: 0,
            key_prefix: "gateway:".into(),
            rest_token: None,
            timeout_ms: 50,
            on_error: OnStoreError::Local,
        },
        auth: Auth {
            enabled: true,
            token_salt: "distributed-gpu-inference-v1".into(),
            api_keys: Vec::new(),
            worker_tokens: WorkerTokens::Learn,
            job_ownership: JobOwnership::Learned,
            admin_token: None,
            failures_per_minute: NonZeroU32::MIN,
        },
        rate_limit: RateLimit {
            enabled: true,
            window_ms: 60_000,
            max_requests: 100,
            algorithm: Algorithm::SlidingWindow,
        },
        limits: Vec::new(),
        cache: Cache { enabled: true, ttl_seconds: 60, max_entries: 1000, max_body_bytes: 1_048_576 },
        router: Router {
            strategy: Strategy::RoundRobin,
            health_check_interval_ms: 10_000,
            health_check_path: "/health".into(),
        },
        metrics: Metrics { enabled: true, path: "/gateway/metrics".into() },
        otel: Otel { enabled: false, service_name: "x".into(), otlp_endpoint: None, zipkin_endpoint: None },
        log: Log { level: LogLevel::Info, format: None },
        cors: Cors {
            origins: CorsOrigins::Any,
            methods: vec![
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
                Method::OPTIONS,
            ],
        },
        identity: Identity { name: "acip".into(), region: None },
        regions: Regions {
            aliases: regions.iter().map(|(alias, name)| (alias.to_string(), name.to_string())).collect(),
            distances: Default::default(),
        },
        routes: Vec::new(),
        workers_format: WorkersFormat::Gateway,
        plugins: Default::default(),
    }
}

/// Facts of a plain connection from 192.0.2.1.
pub(crate) fn facts() -> Facts {
    Facts {
        now_ms: NOW_MS,
        mono_us: 0,
        entropy: Entropy { request: [7; 16], trace: [8; 16], span: [9; 8], draw: 0 },
        peer: Peer { ip: IpAddr::from([192, 0, 2, 1]), tls: false },
        hints: Hints::default(),
        origins: Vec::new(),
        turn: 0,
        can_upgrade: true,
        draining: false,
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
        Step::Settled(Verdict::Forward(forward)) => forward,
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
