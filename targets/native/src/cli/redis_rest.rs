//! `acip-gateway redis-rest`.

use std::{net::SocketAddr, num::NonZeroU32};

use acip_core::config::{Log, LogFormat, LogLevel, Secret, Server, StoreSettings, StoreUrl};
use acip_gateway::{
    logs,
    redis_rest::{self, Policy, Settings, Tokens},
};
use clap::{Args, ValueEnum};

use super::{Failure, ended};

#[derive(Args)]
pub(super) struct RedisRest {
    /// Address and port to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR", env = "SRH_LISTEN", default_value = "127.0.0.1:8079")]
    listen: SocketAddr,
    /// Redis: redis://, rediss://, redis+unix://, redis-sentinel:// or redis-cluster://
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis: String,
    /// Redis's password, where the URL has none
    #[arg(long, env = "REDIS_PASSWORD", hide = true, hide_env_values = true)]
    redis_password: Option<String>,
    /// Redis's database, where the URL has none
    #[arg(long, env = "REDIS_DB", hide = true, default_value_t = 0)]
    redis_db: u32,
    /// Milliseconds that Redis may take to answer
    #[arg(long, value_name = "MS", env = "REDIS_TIMEOUT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
    /// The token that clients send; better given by the variable, which other users of the machine do not see
    #[arg(long, env = "SRH_TOKEN", hide_env_values = true)]
    token: String,
    /// A second token, for commands that only read
    #[arg(long, env = "SRH_READONLY_TOKEN", hide_env_values = true)]
    readonly_token: Option<String>,
    /// Dangerous commands to let through, separated by commas: KEYS,FLUSHDB,"SCRIPT FLUSH"
    #[arg(long, value_name = "NAMES", env = "SRH_ALLOW", value_delimiter = ',')]
    allow: Vec<String>,
    /// Longest body of a request
    #[arg(long, value_name = "BYTES", env = "SRH_MAX_BODY_BYTES", default_value_t = 10 << 20)]
    max_body_bytes: u32,
    /// Longest answer
    #[arg(long, value_name = "BYTES", env = "SRH_MAX_REPLY_BYTES", default_value_t = 64 << 20)]
    max_reply_bytes: u32,
    /// Connections past it wait in the kernel's queue
    #[arg(long, value_name = "N", env = "MAX_CONNECTIONS", default_value_t = 10_000)]
    max_connections: u32,
    /// Threads; one per core if not set
    #[arg(long, value_name = "N", env = "GATEWAY_THREADS")]
    threads: Option<NonZeroU32>,
    /// Certificate chain, PEM; offers TLS together with --tls-key
    #[arg(long, value_name = "FILE", env = "TLS_CERT")]
    tls_cert: Option<String>,
    /// Private key, PEM
    #[arg(long, value_name = "FILE", env = "TLS_KEY")]
    tls_key: Option<String>,
    /// Milliseconds for what is under way after SIGTERM
    #[arg(long, value_name = "MS", env = "SHUTDOWN_GRACE_MS", default_value_t = 30_000)]
    grace: u64,
    /// Least severe record that is logged
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", default_value = "info")]
    log_level: Level,
    /// `pretty` on a terminal, else `json`
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Pretty,
}

pub(super) fn run(options: RedisRest) -> Result<(), Failure> {
    if options.token.is_empty() {
        return Err(Failure::Configuration("the token is empty; set SRH_TOKEN".into()));
    }
    if options.redis.trim_start().to_ascii_lowercase().starts_with("http") {
        let hint = "--redis: a REST endpoint needs no bridge; give the URL of a Redis server, such as `redis://host:6379`";
        return Err(Failure::Configuration(hint.into()));
    }
    let url = StoreUrl::parse(&options.redis)
        .map_err(|wanted| Failure::Configuration(format!("--redis is not accepted: write {wanted}")))?;
    let names = options.allow.iter().map(String::as_str).filter(|name| !name.trim().is_empty());
    let policy =
        Policy::allowing(names).map_err(|error| Failure::Configuration(format!("--allow: {error}")))?;
    logs::init(&Log {
        level: match options.log_level {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
            Level::Trace => LogLevel::Trace,
        },
        format: options.log_format.map(|format| match format {
            Format::Json => LogFormat::Json,
            Format::Pretty => LogFormat::Pretty,
        }),
        ..Log::default()
    });
    let server = Server {
        host: options.listen.ip(),
        port: options.listen.port(),
        threads: options.threads,
        tls_cert: options.tls_cert,
        tls_key: options.tls_key,
        shutdown_grace_ms: options.grace,
        max_body_bytes: options.max_body_bytes.into(),
        max_connections: options.max_connections,
        ..Server::default()
    };
    let store = StoreSettings {
        url: Some(url),
        password: options.redis_password.map(Secret::new),
        db: options.redis_db,
        timeout_ms: options.timeout,
        ..StoreSettings::default()
    };
    let tokens = Tokens {
        full: Secret::new(options.token),
        // An empty variable is an unset one: it must not become a token that anybody has.
        read_only: options.readonly_token.filter(|token| !token.is_empty()).map(Secret::new),
    };
    let max_reply_bytes = usize::try_from(options.max_reply_bytes).unwrap_or(usize::MAX);
    ended(redis_rest::run(Settings { server, store, tokens, policy, max_reply_bytes }))
}
