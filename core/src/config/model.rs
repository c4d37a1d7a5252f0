//! The shape of a valid document. Every value here has passed its checks: a range is in the type or was checked
//! where the text was read, so nobody checks again.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{net::IpAddr, num::NonZeroU32};
use ipnet::IpNet;

pub use super::otel::{ExportHeader, Otel, OtlpProtocol, Ratio, ResourceAttribute, Sampler};
pub use super::store::{OnStoreError, StoreSettings};
use super::{rules::Rule, secret::Secret};
use crate::event::Wanted;

/// Everything that can be configured, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Document {
    /// Listening, limits on what clients may send, shutting down.
    pub server: Server,
    /// The FastAPI servers in front of which the gateway stands; never empty.
    pub origins: Vec<Origin>,
    /// How origins are spoken to.
    pub upstream: Upstream,
    /// Where shared state lives.
    pub store: StoreSettings,
    /// Who may pass.
    pub auth: Auth,
    /// The default limit.
    pub rate_limit: RateLimit,
    /// Further named limits, applied to every request they match.
    pub limits: Vec<NamedLimit>,
    /// The response cache.
    pub cache: Cache,
    /// Which origin gets a request.
    pub router: Router,
    /// Metrics exposition.
    pub metrics: Metrics,
    /// Traces.
    pub otel: Otel,
    /// Logging.
    pub log: Log,
    /// Cross-origin requests from browsers.
    pub cors: Cors,
    /// `[events]`.
    pub events: Events,
    /// What the gateway calls itself.
    pub identity: Identity,
    /// Names, aliases and distances of regions.
    pub regions: Regions,
    /// Rules laid over the built-in routes; earlier ones win over later ones, all win over the built-in.
    pub routes: Vec<RouteRule>,
    /// Conditions and what follows from them, in order.
    pub rules: Vec<Rule>,
    /// Shape of `GET /api/v1/workers`.
    pub workers_format: WorkersFormat,
    /// `[plugins.NAME]`: switches and settings by plugin name.
    pub plugins: BTreeMap<String, PluginSettings>,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// `GATEWAY_HOST`.
    pub host: IpAddr,
    /// `GATEWAY_PORT`; 0 lets the system choose.
    pub port: u16,
    /// `GATEWAY_THREADS`; none: one per core.
    pub threads: Option<NonZeroU32>,
    /// `TLS_CERT`: path of a PEM chain.
    pub tls_cert: Option<String>,
    /// `TLS_KEY`: path of a PEM key.
    pub tls_key: Option<String>,
    /// `SHUTDOWN_GRACE_MS`.
    pub shutdown_grace_ms: u64,
    /// `MAX_BODY_BYTES`: request bodies past it are 413.
    pub max_body_bytes: u64,
    /// `MAX_HEADER_BYTES`: request heads past it are 431.
    pub max_header_bytes: u32,
    /// `MAX_CONNECTIONS`: connections past it wait in the kernel's queue.
    pub max_connections: u32,
    /// `TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
}

/// One origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Unique; appears in metrics and `Proxy-Status`. Defaults to the URL's `host:port`.
    pub name: String,
    /// Scheme and authority, a path prefix perhaps; never a query.
    pub url: OriginUrl,
    /// Canonical region name, if any.
    pub region: Option<String>,
    /// Share under `weighted`; 1 if unset.
    pub weight: NonZeroU32,
}

/// An `http` or `https` base URL of an origin, checked. RFC 3986 §3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginUrl {
    /// True for `https`.
    pub tls: bool,
    /// Host as it goes into `Host` and SNI, without brackets' removal: `[::1]` stays bracketed.
    pub host: String,
    /// Port, the scheme's default filled in.
    pub port: u16,
    /// Path prefix without its trailing slash; empty if none.
    pub prefix: String,
}

/// `[upstream]`.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `FASTAPI_TIMEOUT`: ms until response headers.
    pub timeout_ms: u64,
    /// `STREAM_IDLE_TIMEOUT`: ms a body may be silent.
    pub stream_idle_timeout_ms: u64,
    /// `SIGNING_SECRET`.
    pub signing_secret: Option<Secret>,
    /// Bodies up to this many bytes are held in memory to be signed.
    pub buffer_bytes: u32,
}

/// `[auth]`. Its `Debug` leaves out the salt.
#[derive(Clone)]
pub struct Auth {
    /// `AUTH_ENABLED`.
    pub enabled: bool,
    /// `AUTH_TOKEN_SALT`.
    pub token_salt: String,
    /// `AUTH_API_KEYS`.
    pub api_keys: Vec<StaticKey>,
    /// `AUTH_WORKER_TOKENS`.
    pub worker_tokens: WorkerTokens,
    /// `JOB_OWNERSHIP`.
    pub job_ownership: JobOwnership,
    /// `ADMIN_TOKEN`.
    pub admin_token: Option<Secret>,
    /// `AUTH_FAILURES_PER_MINUTE`: failed credentials per client address.
    pub failures_per_minute: NonZeroU32,
}

/// A key from the configuration.
#[derive(Clone, Debug)]
pub struct StaticKey {
    /// Its name, or `key-N` by position; also its tenant.
    pub name: String,
    /// The key itself.
    pub key: Secret,
}

/// What an unknown worker token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkerTokens {
    /// Pass on the seven routes where the origin checks it, and teach by its 2xx.
    #[default]
    Learn,
    /// Nothing.
    Strict,
}

/// Who may read or cancel a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOwnership {
    /// A known job belongs to its tenant; an unknown one passes.
    #[default]
    Learned,
    /// An unknown job is 404.
    Strict,
    /// No check.
    Off,
}

/// `[rate_limit]`.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// `RATE_LIMIT_ENABLED`.
    pub enabled: bool,
    /// `RATE_LIMIT_WINDOW_MS`.
    pub window_ms: u64,
    /// `RATE_LIMIT_MAX_REQUESTS`; 0 refuses everything.
    pub max_requests: u32,
    /// `RATE_LIMIT_ALGORITHM`.
    pub algorithm: Algorithm,
}

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Two fixed windows, weighted by overlap; approximate, constant space.
    #[default]
    SlidingWindow,
    /// One entry per admission; exact.
    SlidingLog,
    /// Refills evenly, allows a burst of the whole limit.
    TokenBucket,
    /// Resets at window borders.
    FixedWindow,
}

/// `[[limits]]`.
#[derive(Clone, Debug)]
pub struct NamedLimit {
    /// Unique; part of the store key and of `RateLimit-Policy`.
    pub name: String,
    /// What is counted apart.
    pub by: LimitBy,
    /// Only requests whose path matches this pattern; none: all.
    pub path: Option<String>,
    /// Admissions (in cost units) per window.
    pub limit: u32,
    /// Window length.
    pub window_ms: u64,
    /// How it counts.
    pub algorithm: Algorithm,
    /// Units one request costs.
    pub cost: u32,
    /// Overrides `ON_STORE_ERROR` for this limit.
    pub on_store_error: Option<OnStoreError>,
    /// Only where one of `[[rules]]` asks for it.
    pub on_demand: bool,
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitBy {
    /// Per credential; per address where there is none.
    Key,
    /// Per client address.
    Ip,
    /// Per matched route, all clients together.
    Route,
}

/// `[cache]`.
#[derive(Clone, Debug)]
pub struct Cache {
    /// `CACHE_ENABLED`.
    pub enabled: bool,
    /// `CACHE_BACKEND`.
    pub backend: CacheBackend,
    /// `CACHE_TTL_SECONDS`: for opted-in routes whose origin says nothing.
    pub ttl_seconds: u32,
    /// `CACHE_MAX_SIZE`: entries in the process's own memory, which is the embedded store where that is the store.
    pub max_entries: u32,
    /// `CACHE_MAX_BODY_BYTES`: larger bodies are not stored.
    pub max_body_bytes: u32,
}

/// Where cached responses are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheBackend {
    /// In the store, for all gateways on it.
    #[default]
    Store,
    /// In each process, or each instance, for itself.
    Memory,
}

/// `[router]`.
#[derive(Clone, Debug)]
pub struct Router {
    /// `ROUTER_STRATEGY`.
    pub strategy: Strategy,
    /// `ROUTER_HEALTH_CHECK_INTERVAL`: ms between active checks.
    pub health_check_interval_ms: u64,
    /// Path asked by active checks.
    pub health_check_path: String,
}

/// How an origin is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// In turn.
    #[default]
    RoundRobin,
    /// Fewest requests in flight.
    LeastConnections,
    /// Nearest region, then least connections.
    RegionAffinity,
    /// In turn, by weight.
    Weighted,
    /// Better of two drawn by peak EWMA latency × load.
    P2cEwma,
    /// Same credential, same origin (rendezvous hashing).
    ConsistentHash,
}

/// `[metrics]`.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// `METRICS_ENABLED`.
    pub enabled: bool,
    /// `METRICS_PATH`.
    pub path: String,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// `LOG_LEVEL`.
    pub level: LogLevel,
    /// `LOG_FORMAT`; none: `pretty` on a terminal, else `json`.
    pub format: Option<LogFormat>,
    /// `LOG_SAMPLE`: share of the access records of requests that went well.
    pub sample: Ratio,
    /// `TRACE_RECORD`: path of the file of recordings; none: nothing is recorded.
    pub trace_record: Option<String>,
    /// `TRACE_MAX_BYTES`: most bytes of that file.
    pub trace_max_bytes: u64,
}

/// Least severe record that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `error`.
    Error,
    /// `warn`.
    Warn,
    /// `info`: one access record per request from here on.
    #[default]
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// Shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Pretty,
}

/// `[events]`.
#[derive(Clone, Debug)]
pub struct Events {
    /// `EVENTS_PUBLISH`: which go to the store's channel.
    pub publish: Wanted,
}

/// `[cors]`.
#[derive(Clone, Debug)]
pub struct Cors {
    /// `CORS_ORIGIN`: `*` or a list of exact origins.
    pub origins: CorsOrigins,
    /// `CORS_METHODS`.
    pub methods: Vec<http::Method>,
}

/// Which origins browsers may call from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Any, without credentials.
    Any,
    /// These, compared exactly, with credentials.
    List(Vec<String>),
}

/// `[identity]`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `GATEWAY_NAME`: a token (RFC 9110 §5.6.2).
    pub name: String,
    /// `GATEWAY_REGION`, canonical.
    pub region: Option<String>,
}

/// `[regions]`.
#[derive(Clone, Debug)]
pub struct Regions {
    /// Alias (lower case: country codes, cloud zones, other spellings) → canonical name. Holds every canonical
    /// name as its own alias.
    pub aliases: BTreeMap<String, String>,
    /// Distance between two canonical names, smaller is nearer; the pair is ordered alphabetically. A pair that
    /// is missing is farther than any that is there.
    pub distances: BTreeMap<(String, String), u32>,
}

/// `[[routes]]`.
#[derive(Clone, Debug, Default)]
pub struct RouteRule {
    /// Path pattern: `/a/{id}/b`, `/a/*`.
    pub path: String,
    /// Methods; empty: all.
    pub methods: Vec<http::Method>,
    /// Overrides who may pass.
    pub auth: Option<RouteAuth>,
    /// Overrides the default limit: `None` leaves it.
    pub limit: Option<RouteLimit>,
    /// Overrides caching.
    pub cache: Option<RouteCache>,
    /// Overrides `FASTAPI_TIMEOUT` in ms.
    pub timeout_ms: Option<u64>,
    /// Further origins tried for idempotent requests.
    pub retries: Option<u32>,
}

/// Who may pass on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAuth {
    /// Anybody.
    Open,
    /// A valid API key.
    ApiKey,
    /// The worker's own token.
    Worker,
    /// `ADMIN_TOKEN` or a key with role `admin`.
    Admin,
}

/// A route's own limit in place of the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// Admissions per window; none: unlimited.
    pub max_requests: Option<u32>,
    /// Window length; none: the default's.
    pub window_ms: Option<u64>,
    /// Algorithm; none: the default's.
    pub algorithm: Option<Algorithm>,
}

/// Caching on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteCache {
    /// Never read, never written.
    Off,
    /// One entry per credential. `ttl_seconds` applies where the origin says nothing; none: in a rule of the document
    /// that of the cache, in a built-in one nothing is stored then.
    PerCredential {
        /// Freshness in seconds where the origin gives none.
        ttl_seconds: Option<u32>,
        /// Whether what nobody gives is guessed from the answer's age (RFC 9111 §4.2.2).
        heuristic: bool,
    },
    /// One entry for everybody who may pass.
    Shared {
        /// Freshness in seconds where the origin gives none.
        ttl_seconds: Option<u32>,
        /// Whether what nobody gives is guessed from the answer's age (RFC 9111 §4.2.2).
        heuristic: bool,
    },
}

/// Shape of `GET /api/v1/workers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkersFormat {
    /// The gateway's object.
    #[default]
    Gateway,
    /// The backend's array.
    Backend,
}

/// `[plugins.NAME]`.
#[derive(Clone, Debug, Default)]
pub struct PluginSettings {
    /// Off plugins are not asked.
    pub enabled: Option<bool>,
    /// Place in the order; higher is earlier.
    pub priority: Option<i32>,
    /// What a plugin of somebody's own reads; empty for the built-in ones.
    pub config: serde_json::Map<String, serde_json::Value>,
}

impl PluginSettings {
    /// Lays others over these; what they leave out stays.
    pub(super) fn lay(&mut self, over: &Self) {
        let Self { enabled, priority, config } = over;
        self.enabled = enabled.or(self.enabled);
        self.priority = priority.or(self.priority);
        crate::control::merge_patch(&mut self.config, config);
    }
}
