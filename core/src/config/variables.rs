//! Which environment variables are ours, which are somebody's slip of the pen, and which only look like ours.

use alloc::{collections::BTreeMap, format, string::String};

use super::{
    error::{Faults, Place, nearest, suggestion},
    field::shown,
    read::scalars,
};

/// Notes every variable under one of our prefixes that we do not know, and every one that nearly has the name of a
/// knob outside of them.
pub(super) fn are_known(env: &BTreeMap<String, String>, faults: &mut Faults<'_>) {
    let known = || scalars().map(|setting| setting.env).chain(READ_BY_THE_SHELL.iter().copied());
    for (name, value) in env {
        if known().any(|known| known == name) || is_service_link(name, value) {
            continue;
        }
        let message = if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            match OTHERS_NAMES.iter().find(|(other, _)| other == name) {
                Some((_, instead)) => format!("unknown variable; write {instead}"),
                None => format!("unknown variable{}", suggestion(name, known())),
            }
        } else if name.starts_with(LOGS_OF_OTEL) {
            continue;
        } else if let Some(near) = nearest(name, known()).filter(|near| is_slip(name, near)) {
            format!("unknown variable; did you mean `{near}`?")
        } else {
            continue;
        };
        faults.note(Place::Variable(shown(name)), message);
    }
}

/// A variable's value, unless it is a service link under our name: a Kubernetes service called `gateway` sets
/// `GATEWAY_PORT=tcp://…` in every pod of its namespace.
pub(super) fn value<'e>(env: &'e BTreeMap<String, String>, name: &str) -> Option<&'e str> {
    env.get(name).map(String::as_str).filter(|value| !is_service_link(name, value))
}

/// Whether Kubernetes (or a Docker link) made it.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let numbered = name.split("_PORT_").skip(1).any(|rest| {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < rest.len()
            && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| digits.starts_with(protocol))
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || numbered
        || (name.ends_with("_PORT") && address)
}

/// One or two letters off, in a name long enough that this is no coincidence.
fn is_slip(name: &str, near: &str) -> bool {
    name.len() >= 8 && strsim::damerau_levenshtein(name, near) <= 2
}

/// Prefixes of names that only we use. `OTEL_` is not among them: a standard defines it, and other libraries in the
/// same process or pod read more of it than we do.
const PREFIXES: &[&str] = &[
    "GATEWAY_",
    "FASTAPI_",
    "REDIS_",
    "UPSTASH_REDIS_REST_",
    "AUTH_",
    "RATE_LIMIT_",
    "CACHE_",
    "ROUTER_",
    "METRICS_",
    "LOG_",
    "CORS_",
    "TLS_",
];

/// The standard's batches of log records, two letters away from its batches of spans.
const LOGS_OF_OTEL: &str = "OTEL_BLRP_";

/// Names that other programs have for what we say in another way.
const OTHERS_NAMES: &[(&str, &str)] = &[
    ("REDIS_HOST", "`REDIS_URL=redis://host:port`"),
    ("REDIS_PORT", "`REDIS_URL=redis://host:port`"),
    ("REDIS_USERNAME", "`REDIS_URL=redis://user@host:port`"),
    ("FASTAPI_HOST", "`FASTAPI_URL=http://host:port`"),
    ("FASTAPI_PORT", "`FASTAPI_URL=http://host:port`"),
];

/// Names that are read before there is a document.
const READ_BY_THE_SHELL: &[&str] = &["GATEWAY_CONFIG"];
