//! The table of everything that is one value: its variable, its key in the file, what it accepts, its default
//! with the reason, and the sentence that explains it. Reading, `Default`, `acip-gateway check`,
//! `docs/configuration.md` and the JSON Schema all come from this table, so a knob is written once.
//! Lists and tables of the file (`[[routes]]`, …) are in `sections.rs`.

use alloc::{borrow::ToOwned, string::ToString, vec, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
};
use http::Method;
use serde_json::Value;

use super::{
    kind::Form::*,
    kind::Kind,
    kind::Kind::*,
    knob::{Flaw, Knob},
    model::*,
    sections,
    standard::WORDS_STANDARD_NAMES,
};
use crate::event::Wanted;

/// One knob.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub env: &'static str,
    /// Dotted key in the file.
    pub key: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// Never shown.
    pub secret: bool,
    /// Parses the parts (one, unless the kind is a list) into its place.
    pub(super) set: fn(&mut Document, &[&str], Kind) -> Result<(), Flaw>,
    /// Its value in a document, in clear: callers mask.
    pub(super) show: fn(&Document) -> Value,
}

/// What the documentation says of a knob. Apart from [`Setting`], so that a build that writes no documentation does not hold it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// What it does, with its unit.
    pub(super) doc: &'static str,
    /// Why the default is what it is.
    pub(super) why: &'static str,
}

/// The words of every knob, in the order of [`scalars`](super::read::scalars).
pub(super) fn words() -> impl Iterator<Item = &'static Words> {
    WORDS_ONLY_VARIABLES
        .iter()
        .chain(WORDS_IN_SECTIONS)
        .chain(core::iter::once(&WORDS_WORKERS_FORMAT))
        .chain(WORDS_STANDARD_NAMES)
}

macro_rules! secrecy {
    () => {
        false
    };
    (secret) => {
        true
    };
}

/// Writes `Default` for each section and the rows for its fields.
macro_rules! settings {
    ($($(#[$section_doc:meta])* [$section:ident] $Section:ident {
        $($field:ident = $default:expr, $env:literal, $kind:expr $(, $secret:ident)?; $doc:literal; $why:literal;)+
    })+) => {
        $(impl Default for $Section {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        })+

        /// Every knob that lives in a section, in the order of the documentation.
        pub(super) const IN_SECTIONS: &[Setting] = &[$($(Setting {
            env: $env,
            key: concat!(stringify!($section), ".", stringify!($field)),
            kind: $kind,
            secret: secrecy!($($secret)?),
            set: |document, parts, kind| {
                document.$section.$field = Knob::read(parts, kind)?;
                Ok(())
            },
            show: |document| Knob::show(&document.$section.$field),
        },)+)+];

        const WORDS_IN_SECTIONS: &[Words] = &[$($(Words { doc: $doc, why: $why },)+)+];
    };
}

/// Not zero: a literal of this file.
const fn count(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

settings! {
    [server] Server {
        host = IpAddr::V4(Ipv4Addr::UNSPECIFIED), "GATEWAY_HOST", Text(Address);
            "Address to listen on.";
            "Containers are reached from outside their own network.";
        port = 3000, "GATEWAY_PORT", Number { min: 0, max: 65_535 };
            "Port to listen on; 0 lets the system choose.";
            "Needs no privilege, and is not the backend's 8000.";
        threads = None, "GATEWAY_THREADS", Number { min: 1, max: 1024 };
            "Runtime threads; unset: one per core.";
            "Each thread runs its own event loop, so more than the cores only adds switching.";
        tls_cert = None, "TLS_CERT", Text(File);
            "Path of a PEM file with the certificate chain. Goes with `TLS_KEY`.";
            "Most deployments end TLS in front of the gateway.";
        tls_key = None, "TLS_KEY", Text(File);
            "Path of a PEM file with the private key. Goes with `TLS_CERT`.";
            "Most deployments end TLS in front of the gateway.";
        shutdown_grace_ms = 30_000, "SHUTDOWN_GRACE_MS", Number { min: 0, max: 3_600_000 };
            "Milliseconds that requests and streams may take to finish after SIGTERM.";
            "The same as Kubernetes' own grace period.";
        max_body_bytes = 104_857_600, "MAX_BODY_BYTES", Number { min: 1, max: 1 << 40 };
            "Request bodies larger than this many bytes are refused with 413, and the upload stops.";
            "Fits an hour of compressed speech or a batch of images, and bounds a stranger's upload.";
        max_header_bytes = 65_536, "MAX_HEADER_BYTES", Number { min: 8192, max: 1_048_576 };
            "Request heads larger than this many bytes are refused with 431.";
            "Room for several large cookies and tokens; common servers take 8 to 32 KiB.";
        max_connections = 10_000, "MAX_CONNECTIONS", Number { min: 1, max: 1_000_000 };
            "Client connections held at once; further ones wait in the kernel's queue.";
            "Bounds memory; a limit on open files below it ends things earlier.";
        trusted_proxies = Vec::new(), "TRUSTED_PROXIES", List(Network);
            "Networks (CIDR) or addresses of proxies whose `X-Forwarded-For` and `Forwarded` are believed, walked \
             right to left.";
            "Anybody can write these headers: none is believed until its writer is named.";
    }
    [upstream] Upstream {
        timeout_ms = 30_000, "FASTAPI_TIMEOUT", Number { min: 1, max: 3_600_000 };
            "Milliseconds until an origin's response headers; past them the client gets 504.";
            "Longer than the backend takes for anything but a synchronous job, which has a limit of its own.";
        stream_idle_timeout_ms = 60_000, "STREAM_IDLE_TIMEOUT", Number { min: 1, max: 86_400_000 };
            "Milliseconds for which a response body may be silent before it is cut.";
            "A model that loads its weights is silent for tens of seconds.";
        signing_secret = None, "SIGNING_SECRET", Text(Plain), secret;
            "Secret that signs forwarded requests (`X-Signature`, `X-Timestamp`); unset: no signing.";
            "Only useful where the backend checks signatures.";
        buffer_bytes = 1_048_576, "SIGNING_BUFFER_BYTES", Number { min: 0, max: 67_108_864 };
            "Bodies up to this many bytes are held in memory to be signed; larger ones are sent unsigned with \
             `X-Signature-Skipped: body`.";
            "Prompts are far smaller; uploads stream.";
    }
    [store] StoreSettings {
        url = None, "REDIS_URL", Text(StoreUrl), secret;
            "The shared store: `redis://`, `rediss://`, `redis+unix://`, `redis-cluster://`, `rediss-cluster://`, \
             `redis-sentinel://`, `rediss-sentinel://`, or `http(s)://` for a REST endpoint. Cluster and sentinel \
             take several hosts separated by commas; sentinel ends with `/SERVICE` or `/SERVICE/DB`. Unset: a \
             store inside the process.";
            "One gateway needs no Redis; several that share limits do.";
        password = None, "REDIS_PASSWORD", Text(Plain), secret;
            "Password of the store, where it is not in the URL.";
            "A Redis on a private network often has none.";
        db = 0, "REDIS_DB", Number { min: 0, max: 65_535 };
            "Number of the Redis database, where it is not in the URL.";
            "Redis' own default; a cluster has no other.";
        key_prefix = "gateway:".to_owned(), "REDIS_KEY_PREFIX", Text(KeyPrefix);
            "Prefix of the gateway's own keys. Keys of the backend (`worker:…`, `queue:…`) never get it.";
            "Says whose keys they are, beside the backend's in the same Redis.";
        rest_token = None, "UPSTASH_REDIS_REST_TOKEN", Text(HeaderValue), secret;
            "Token of the REST endpoint; `REDIS_REST_TOKEN` is the same.";
            "Only REST endpoints want one.";
        timeout_ms = 50, "REDIS_TIMEOUT", Number { min: 1, max: 60_000 };
            "Milliseconds for a decision; past them the store counts as down. The edge builds default to 1000.";
            "A healthy Redis nearby answers in one; an edge build may open a connection and cross an ocean first.";
        on_error = OnStoreError::Local, "ON_STORE_ERROR", OneOf(OnStoreError::NAMES);
            "What happens to limits while the store is down: `allow` does not enforce them, `deny` answers 503, \
             `local` counts inside the process.";
            "Neither an outage of the service nor an open door.";
    }
    [auth] Auth {
        enabled = true, "AUTH_ENABLED", Flag;
            "Whether credentials are checked.";
            "The backend leaves doors open that the gateway closes.";
        token_salt = "distributed-gpu-inference-v1".to_owned(), "AUTH_TOKEN_SALT", Text(Plain), secret;
            "Salt of stored tokens; must be the backend's.";
            "The backend's own default.";
        api_keys = Vec::new(), "AUTH_API_KEYS", List(StaticKeys), secret;
            "API keys, each `key` or `name:key`; the name is the tenant. A key without a name is called `key-N` \
             after its place.";
            "No key opens the gateway until somebody chooses one.";
        worker_tokens = WorkerTokens::Learn, "AUTH_WORKER_TOKENS", OneOf(WorkerTokens::NAMES);
            "What an unknown worker token may do: `learn` lets it pass where the backend checks it and remembers \
             what the backend accepted, `strict` refuses it.";
            "Workers that registered before the gateway came keep working.";
        job_ownership = JobOwnership::Learned, "JOB_OWNERSHIP", OneOf(JobOwnership::NAMES);
            "Who may read or cancel a job: with `learned` its tenant, or anybody if it is unknown; with `strict` \
             only its tenant; with `off` anybody.";
            "Jobs from before the gateway stay readable; another tenant's are not.";
        admin_token = None, "ADMIN_TOKEN", Text(HeaderValue), secret;
            "Token for the gateway's own admin endpoints and the backend's admin pages. Unset: writes are refused, \
             and reads answered only to the same machine.";
            "A default password is an open door.";
        failures_per_minute = count(20), "AUTH_FAILURES_PER_MINUTE", Number { min: 1, max: 1_000_000 };
            "Failed credentials per client address and minute; past them 429.";
            "More than a person mistypes, far fewer than guessing needs.";
    }
    [rate_limit] RateLimit {
        enabled = true, "RATE_LIMIT_ENABLED", Flag;
            "Whether requests are limited.";
            "GPUs are slow and dear: one client must not take them all.";
        window_ms = 60_000, "RATE_LIMIT_WINDOW_MS", Number { min: 1, max: MAX_WINDOW_MS };
            "Length of the window in milliseconds.";
            "A minute is what people think in, and what a client can wait out.";
        max_requests = 100, "RATE_LIMIT_MAX_REQUESTS", Number { min: 0, max: MAX_LIMIT };
            "Requests per window and credential; 0 refuses everything. Polling a job and a worker's own calls have \
             ten times as many.";
            "More than one request a second: enough for a program, too few for a flood.";
        algorithm = Algorithm::SlidingWindow, "RATE_LIMIT_ALGORITHM", OneOf(Algorithm::NAMES);
            "How requests are counted: `sliding-window` (approximate, constant space), `sliding-log` (exact), \
             `token-bucket` (allows a burst, refills evenly), `fixed-window`.";
            "No burst at window borders, and two counters per client.";
    }
    [cache] Cache {
        enabled = true, "CACHE_ENABLED", Flag;
            "Whether responses are cached.";
            "Only what the origin or a rule allows is ever stored.";
        backend = CacheBackend::Store, "CACHE_BACKEND", OneOf(CacheBackend::NAMES);
            "Where cached responses are kept: `store` shares them among all gateways on the store; `memory` keeps them in \
             each process, or instance of an edge build, and asks the store nothing about them.";
            "What one gateway has fetched or purged counts for all of them.";
        ttl_seconds = 60, "CACHE_TTL_SECONDS", Number { min: 0, max: 31_536_000 };
            "Seconds for which a response stays fresh on routes that opt in, where the origin says nothing.";
            "Long enough to spare the backend a crowd, short enough that nobody misses the news.";
        max_entries = 1000, "CACHE_MAX_SIZE", Number { min: 1, max: 10_000_000 };
            "Entries kept in a process, or an instance: by the embedded store, and with `CACHE_BACKEND=memory`. Past so \
             many, or past 32 MiB (4 MiB in an instance of an edge build), those read least recently leave first.";
            "Some thousand answers are a few megabytes.";
        max_body_bytes = 1_048_576, "CACHE_MAX_BODY_BYTES", Number { min: 1, max: 67_108_864 };
            "Larger bodies are not stored.";
            "Statistics and job results are smaller; images belong in an object store.";
    }
    [router] Router {
        strategy = Strategy::RoundRobin, "ROUTER_STRATEGY", OneOf(Strategy::NAMES);
            "Which origin gets a request: `round-robin`, `least-connections`, `region-affinity`, `weighted`, \
             `p2c-ewma`, `consistent-hash`.";
            "Needs no knowledge of the origins.";
        health_check_interval_ms = 10_000, "ROUTER_HEALTH_CHECK_INTERVAL", Number { min: 50, max: 3_600_000 };
            "Milliseconds between active checks of an origin; native only, the edge learns from answers.";
            "An origin that died in silence is found before many requests fail.";
        health_check_path = "/health".to_owned(), "ROUTER_HEALTH_CHECK_PATH", Text(Path);
            "Path that active checks ask.";
            "Where the backend answers.";
    }
    [metrics] Metrics {
        enabled = true, "METRICS_ENABLED", Flag;
            "Whether metrics are served.";
            "A gateway without numbers cannot be run.";
        path = "/gateway/metrics".to_owned(), "METRICS_PATH", Text(Path);
            "Path where metrics are served.";
            "Under `/gateway/`, so that it hides no path of the backend.";
    }
    [otel] Otel {
        enabled = false, "OTEL_ENABLED", Flag;
            "Whether traces are exported.";
            "Needs a collector.";
        sdk_disabled = false, "OTEL_SDK_DISABLED", Flag;
            "Whether traces stay off, whatever `OTEL_ENABLED` says.";
            "The standard's switch for everything in a pod at once.";
        service_name = "acip-gpu-gateway".to_owned(), "OTEL_SERVICE_NAME", Text(Plain);
            "Service name in traces.";
            "Tells the gateway from the servers behind it.";
        resource_attributes = Vec::new(), "OTEL_RESOURCE_ATTRIBUTES", List(Attribute);
            "Facts about this gateway that go with its spans, such as `deployment.environment.name=prod`.";
            "Only the operator knows them.";
        sampler = Sampler::default(), "OTEL_TRACES_SAMPLER", OneOf(Sampler::NAMES);
            "Which requests are traced: all, none, or a share by trace id; those that begin with `parentbased_` do as the \
             caller does where it sent a `traceparent`.";
            "The standard's default: a trace is whole or not there.";
        sampler_arg = Ratio::ALL, "OTEL_TRACES_SAMPLER_ARG", Share;
            "The share of `traceidratio` and `parentbased_traceidratio`.";
            "The standard's default.";
        otlp_endpoint = None, "OTEL_EXPORTER_OTLP_ENDPOINT", Text(HttpUrl);
            "URL of an OTLP/HTTP collector, without `/v1/traces`.";
            "Needs a collector.";
        otlp_traces_endpoint = None, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Text(HttpUrl);
            "The whole URL for traces, in place of `OTEL_EXPORTER_OTLP_ENDPOINT`.";
            "Only for collectors with paths of their own.";
        otlp_headers = Vec::new(), "OTEL_EXPORTER_OTLP_HEADERS", List(HeaderPair), secret;
            "Fields that go with every export to OTLP, such as `api-key=…`.";
            "Only hosted collectors want one.";
        otlp_protocol = OtlpProtocol::Json, "OTEL_EXPORTER_OTLP_PROTOCOL", OneOf(OtlpProtocol::NAMES);
            "How OTLP/HTTP is written.";
            "Every OTLP/HTTP collector takes both, and people can read one of them.";
        otlp_timeout_ms = 10_000, "OTEL_EXPORTER_OTLP_TIMEOUT", EXPORT_MS;
            "Milliseconds for one export.";
            "The standard's default; no request waits for it.";
        max_queue = 2048, "OTEL_BSP_MAX_QUEUE_SIZE", Number { min: 1, max: 1_000_000 };
            "Spans that wait for export; further ones are dropped and counted.";
            "The standard's default: about a megabyte.";
        max_batch = 512, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Number { min: 1, max: 100_000 };
            "Spans in one export.";
            "The standard's default.";
        schedule_delay_ms = 5000, "OTEL_BSP_SCHEDULE_DELAY", Number { min: 0, max: 3_600_000 };
            "Milliseconds between exports where a process lives; the edge builds export after each request.";
            "The standard's default.";
        zipkin_endpoint = None, "OTEL_ZIPKIN_ENDPOINT", Text(HttpUrl);
            "URL of a Zipkin v2 collector, such as `http://zipkin:9411/api/v2/spans`.";
            "Needs a collector.";
    }
    [log] Log {
        level = LogLevel::Info, "LOG_LEVEL", OneOf(LogLevel::NAMES);
            "Least severe record that is written: `error`, `warn`, `info` (one record per request from here on), \
             `debug`, `trace`.";
            "One line per request is what operators expect of a gateway.";
        format = None, "LOG_FORMAT", OneOf(LogFormat::NAMES);
            "`json`, one object per line, or `pretty`; unset: `pretty` on a terminal, else `json`.";
            "Machines read files, people read terminals.";
        sample = Ratio::ALL, "LOG_SAMPLE", Share;
            "Share of access records that is written, by trace id. Refusals and failures (status 400 and above), and \
             requests that were cut short, are always written.";
            "A record that is missing is missed when it is needed.";
        trace_record = None, "TRACE_RECORD", Text(File);
            "Path of a file to which every request is recorded with all that was decided about it, for \
             `acip-gateway replay` and `explain`. Credentials are replaced by pseudonyms; paths, fields and small bodies \
             are not. Where there are no files, any value, such as `log`, has them in the platform's log.";
            "Recording costs time and space, and a recording tells what clients asked for.";
        trace_max_bytes = 104_857_600, "TRACE_MAX_BYTES", Number { min: 4096, max: 1 << 40 };
            "Recording ends when the file is this large, or what an instance has logged of it.";
            "Some fifty thousand requests.";
    }
    [events] Events {
        publish = Wanted::NONE, "EVENTS_PUBLISH", List(EventName);
            "Events that are published in Redis, on the channel `gateway:events` (with `REDIS_KEY_PREFIX` in place of \
             `gateway:`), by name or by what names begin with: `gateway:job:*`. Needs a Redis.";
            "Publishing costs work in Redis, and most have nobody who subscribes.";
    }
    [cors] Cors {
        origins = CorsOrigins::Any, "CORS_ORIGIN", List(BrowserOrigin);
            "`*`, or the origins (`https://host[:port]`) from which browsers may call with credentials.";
            "`*` never goes with credentials, so it gives away nothing.";
        methods = vec![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS],
            "CORS_METHODS", List(HttpMethod);
            "Methods that browsers may use from other origins.";
            "Those of the backend.";
    }
    [identity] Identity {
        name = "acip".to_owned(), "GATEWAY_NAME", Text(Token);
            "The gateway's name in `Via`, `Cache-Status` and `Proxy-Status`: a token (RFC 9110 §5.6.2).";
            "Short, and not a host name that would tell strangers about the network.";
        region = None, "GATEWAY_REGION", Text(Region);
            "This gateway's region, for region affinity where the client's is unknown.";
            "Nobody but the operator knows it.";
    }
}

/// `WORKERS_FORMAT` stands in no section.
pub(super) const WORKERS_FORMAT: Setting = Setting {
    env: "WORKERS_FORMAT",
    key: "workers_format",
    kind: OneOf(WorkersFormat::NAMES),
    secret: false,
    set: |document, parts, kind| {
        document.workers_format = Knob::read(parts, kind)?;
        Ok(())
    },
    show: |document| document.workers_format.show(),
};

const WORDS_WORKERS_FORMAT: Words = Words {
    doc: "Shape of `GET /api/v1/workers`: the gateway's object, or the backend's array.",
    why: "The object tells more; the backend's Python SDK wants the array.",
};

/// Knobs that the file says in another way.
pub(super) const ONLY_VARIABLES: &[Setting] = &[
    Setting {
        env: "FASTAPI_URL",
        key: "",
        kind: List(OriginLine),
        secret: false,
        set: |document, parts, _| {
            document.origins = sections::origin_lines(parts, &document.regions)?;
            Ok(())
        },
        show: |document| {
            document.origins.iter().map(|origin| Value::String(origin.url.to_string())).collect()
        },
    },
    Setting {
        env: "UPSTASH_REDIS_REST_URL",
        key: "",
        kind: Text(HttpUrl),
        secret: true,
        set: |document, parts, kind| {
            document.store.url = Knob::read(parts, kind)?;
            Ok(())
        },
        show: |_| Value::Null,
    },
    Setting {
        env: "REDIS_REST_TOKEN",
        key: "",
        kind: Text(HeaderValue),
        secret: true,
        set: |document, parts, kind| {
            document.store.rest_token = Knob::read(parts, kind)?;
            Ok(())
        },
        show: |_| Value::Null,
    },
];

const WORDS_ONLY_VARIABLES: &[Words] = &[
    Words {
        doc: "URL of the backend, or several separated by commas, each with optional `;region=us-west;weight=2;name=a`. \
              Takes the place of `[[origins]]`.",
        why: "Where the backend listens when it is started by hand.",
    },
    Words {
        doc: "The shared store by its REST endpoint, in place of `REDIS_URL`.",
        why: "The ecosystem's name for `REDIS_URL=https://…`.",
    },
    Words {
        doc: "Another name for `UPSTASH_REDIS_REST_TOKEN`.",
        why: "For REST endpoints that are not Upstash's.",
    },
];

/// Milliseconds for one export.
pub(super) const EXPORT_MS: Kind = Number { min: 1, max: 600_000 };
/// Longest window of a limit in ms: 31 days. Longer counts belong in billing.
pub(super) const MAX_WINDOW_MS: u64 = 2_678_400_000;
/// Largest limit: leaves the script's arithmetic exact.
pub(super) const MAX_LIMIT: u64 = 1_000_000_000;
