//! The parts of the file that are lists and tables: `[[origins]]`, `[[routes]]`, `[[limits]]`, `[plugins.NAME]`.
//! `[regions]` is in `regions.rs`.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    error::{Faults, nearest, suggestion},
    field::{Accepts, Field, Fields, join, keys_are_known},
    form,
    kind::{Form, Kind},
    knob::{Flaw, Knob},
    model::*,
    settings::{MAX_LIMIT, MAX_WINDOW_MS},
    tree::{Entry, Node, Tree},
};
use serde_json::{Map, Value};

const WINDOW: Kind = Kind::Number { min: 1, max: MAX_WINDOW_MS };

/// `[[origins]]`.
pub(super) const ORIGIN: &[Field] = &[
    Field::one("url", Kind::Text(Form::HttpUrl), "base URL of the server").required(),
    Field::one(
        "name",
        Kind::Text(Form::OriginName),
        "unique; seen in metrics and `Proxy-Status`; default `host:port`",
    ),
    Field::one("region", Kind::Text(Form::Region), "where it stands, for `region-affinity`"),
    Field::one("weight", Kind::Number { min: 1, max: 65_535 }, "share under `weighted`; default 1"),
];

/// `[[routes]]`.
pub(super) const ROUTE: &[Field] = &[
    Field::one("path", Kind::Text(Form::Pattern), "path pattern such as `/a/{id}/b` or `/a/*`").required(),
    Field::one("methods", Kind::List(Form::HttpMethod), "only these methods; default all"),
    Field::one("auth", Kind::OneOf(RouteAuth::NAMES), "who may pass"),
    Field::false_or("limit", ROUTE_LIMIT, "`false` for no limit, or a limit in place of the default one"),
    Field::false_or("cache", ROUTE_CACHE, "`false` for never, or how responses are cached"),
    Field::one(
        "timeout_ms",
        Kind::Number { min: 1, max: 3_600_000 },
        "milliseconds until response headers, in place of `FASTAPI_TIMEOUT`",
    ),
    Field::one("retries", Kind::Number { min: 0, max: 10 }, "further origins tried for idempotent requests"),
];

/// `limit` of `[[routes]]`.
pub(super) const ROUTE_LIMIT: &[Field] = &[
    Field::one("max_requests", Kind::Number { min: 0, max: MAX_LIMIT }, "requests per window").required(),
    Field::one("window_ms", WINDOW, "length of the window in milliseconds; default that of `rate_limit`"),
    Field::one(
        "algorithm",
        Kind::OneOf(Algorithm::NAMES),
        "how requests are counted; default that of `rate_limit`",
    ),
];

/// `cache` of `[[routes]]`.
pub(super) const ROUTE_CACHE: &[Field] = &[
    Field::one(
        "mode",
        Kind::OneOf(&["per-credential", "shared"]),
        "one entry for each credential, or one for all who may pass",
    )
    .required(),
    Field::one(
        "ttl_seconds",
        Kind::Number { min: 0, max: 31_536_000 },
        "seconds of freshness of a 200 where the origin says nothing; default `CACHE_TTL_SECONDS`, or with `heuristic` the guess",
    ),
    Field::one(
        "heuristic",
        Kind::Flag,
        "where nobody says how long an answer is fresh, take a tenth of the time since `Last-Modified`, at most a day; \
         default off: an API's answers are not guessed about",
    ),
];

/// `[[limits]]`.
pub(super) const LIMIT: &[Field] = &[
    Field::one("name", Kind::Text(Form::Token), "unique; seen in `RateLimit-Policy`").required(),
    Field::one("by", Kind::OneOf(LimitBy::NAMES), "what is counted apart").required(),
    Field::one("limit", Kind::Number { min: 0, max: MAX_LIMIT }, "cost admitted per window").required(),
    Field::one("window_ms", WINDOW, "length of the window in milliseconds").required(),
    Field::one("path", Kind::Text(Form::Pattern), "only requests to paths of this pattern; default all"),
    Field::one("algorithm", Kind::OneOf(Algorithm::NAMES), "how it counts; default `sliding-window`"),
    Field::one("cost", Kind::Number { min: 1, max: MAX_LIMIT }, "what one request costs; default 1"),
    Field::one("on_store_error", Kind::OneOf(OnStoreError::NAMES), "in place of `ON_STORE_ERROR`"),
    Field::one("on_demand", Kind::Flag, "only where one of `[[rules]]` asks for it; default off"),
];

/// `[plugins.NAME]`.
pub(super) const PLUGIN: &[Field] = &[
    Field::one("enabled", Kind::Flag, "whether it is asked"),
    Field::one("priority", Kind::Number { min: 0, max: 1000 }, "place in the order; higher is earlier"),
];

/// `[plugins.NAME]` of a plugin that is not built in.
pub(super) const CUSTOM_PLUGIN: &[Field] = &[
    Field::one("enabled", Kind::Flag, "whether it is asked"),
    Field::one("priority", Kind::Number { min: 0, max: 1000 }, "place in the order; higher is earlier"),
    Field {
        name: "config",
        accepts: Accepts::Free,
        required: false,
        doc: "what the plugin reads, unless it is a built-in one",
    },
];

/// Names under `[plugins]`.
pub(super) const PLUGINS: &[&str] = &[
    "admin-plugin",
    "auth-plugin",
    "cel-plugin",
    "rate-limit-plugin",
    "cache-plugin",
    "router-plugin",
    "metrics-plugin",
    "health-plugin",
    "cors-plugin",
    "worker-registry-plugin",
    "job-tracker-plugin",
];

/// The items of an array of tables, each with its path.
pub(super) fn items<'n>(node: &'n Node, name: &str, faults: &mut Faults<'_>) -> Vec<(String, &'n Node)> {
    match &node.tree {
        Tree::List(items) => {
            items.iter().enumerate().map(|(i, item)| (format!("{name}[{i}]"), item)).collect()
        }
        other => {
            faults.in_file(
                name,
                node.at,
                format!("{} is not accepted: write `[[{name}]]` tables", other.what()),
            );
            Vec::new()
        }
    }
}

/// Reads `[[origins]]`.
pub(super) fn origins(node: &Node, regions: &Regions, faults: &mut Faults<'_>) -> Vec<Origin> {
    let mut origins: Vec<Origin> = Vec::new();
    let items = items(node, "origins", faults);
    if items.is_empty() && matches!(node.tree, Tree::List(_)) {
        faults.in_file("origins", node.at, "there must be an origin: add one, or leave `origins` out");
    }
    for (path, item) in items {
        let Some(mut fields) = Fields::open(item, path, ORIGIN, faults) else { continue };
        let url: Option<OriginUrl> = fields.get("url", faults);
        let name: Option<String> = fields.get("name", faults);
        let region: Option<String> = fields.get("region", faults);
        let weight = fields.get("weight", faults);
        let region = region.and_then(|region| {
            regions.resolve(&region).map_err(|message| fields.refuse("region", message, faults)).ok()
        });
        let Some(url) = url else { continue };
        let name = name.unwrap_or_else(|| url.default_name());
        if origins.iter().any(|other| other.name == name) {
            let message = format!("two origins are called `{name}`: give each a `name` of its own");
            fields.refuse(if fields.node("name").is_some() { "name" } else { "url" }, message, faults);
        }
        origins.push(Origin { name, url, region, weight: weight.unwrap_or(core::num::NonZeroU32::MIN) });
    }
    origins
}

/// Reads `[[routes]]`.
pub(super) fn routes(node: &Node, faults: &mut Faults<'_>) -> Vec<RouteRule> {
    let items = items(node, "routes", faults);
    items.into_iter().filter_map(|(path, item)| route(item, path, faults)).collect()
}

fn route(item: &Node, path: String, faults: &mut Faults<'_>) -> Option<RouteRule> {
    let mut fields = Fields::open(item, path, ROUTE, faults)?;
    let rule = RouteRule {
        path: fields.get("path", faults).unwrap_or_default(),
        methods: fields.get("methods", faults).unwrap_or_default(),
        auth: fields.get("auth", faults),
        limit: fields.table("limit", faults).map(|table| match table {
            None => RouteLimit { max_requests: None, window_ms: None, algorithm: None },
            Some(mut limit) => RouteLimit {
                max_requests: limit.get("max_requests", faults),
                window_ms: limit.get("window_ms", faults),
                algorithm: limit.get("algorithm", faults),
            },
        }),
        cache: fields.table("cache", faults).map(|table| match table {
            None => RouteCache::Off,
            Some(mut cache) => {
                let mode: Option<String> = cache.get("mode", faults);
                let ttl_seconds = cache.get("ttl_seconds", faults);
                let heuristic = cache.get("heuristic", faults).unwrap_or(false);
                match mode.as_deref() {
                    Some("shared") => RouteCache::Shared { ttl_seconds, heuristic },
                    _ => RouteCache::PerCredential { ttl_seconds, heuristic },
                }
            }
        }),
        timeout_ms: fields.get("timeout_ms", faults),
        retries: fields.get("retries", faults),
    };
    Some(rule)
}

/// Reads `[[limits]]`.
pub(super) fn limits(node: &Node, faults: &mut Faults<'_>) -> Vec<NamedLimit> {
    let mut limits: Vec<NamedLimit> = Vec::new();
    for (path, item) in items(node, "limits", faults) {
        let Some(mut fields) = Fields::open(item, path, LIMIT, faults) else { continue };
        let limit = NamedLimit {
            name: fields.get("name", faults).unwrap_or_default(),
            by: fields.get("by", faults).unwrap_or(LimitBy::Key),
            path: fields.get("path", faults),
            limit: fields.get("limit", faults).unwrap_or_default(),
            window_ms: fields.get("window_ms", faults).unwrap_or_default(),
            algorithm: fields.get("algorithm", faults).unwrap_or_default(),
            cost: fields.get("cost", faults).unwrap_or(1),
            on_store_error: fields.get("on_store_error", faults),
            on_demand: fields.get("on_demand", faults).unwrap_or(false),
        };
        if !limit.name.is_empty() && limits.iter().any(|other| other.name == limit.name) {
            let message = format!("two limits are called `{}`: give each a name of its own", limit.name);
            fields.refuse("name", message, faults);
        }
        limits.push(limit);
    }
    limits
}

/// Whether a name under `[plugins]` is meant for a plugin that is not built in. One that nearly has a built-in one's name is
/// a slip of the pen.
pub(crate) fn is_custom(name: &str) -> bool {
    let taken = PLUGINS.contains(&name) || nearest(name, PLUGINS.iter().copied()).is_some();
    name.ends_with("-plugin") && form::name(name) && !taken
}

/// Reads `[plugins.NAME]`.
pub(super) fn plugins(node: &Node, faults: &mut Faults<'_>) -> BTreeMap<String, PluginSettings> {
    let mut plugins = BTreeMap::new();
    let Tree::Table(entries) = &node.tree else {
        let message = format!("{} is not accepted: write `[plugins.NAME]` tables", node.tree.what());
        faults.in_file("plugins", node.at, message);
        return plugins;
    };
    let custom = || entries.iter().map(|entry| entry.key.as_str()).filter(|name| is_custom(name));
    keys_are_known(entries, "plugins", || PLUGINS.iter().copied().chain(custom()), faults);
    let known = |entry: &&Entry| PLUGINS.contains(&entry.key.as_str()) || is_custom(&entry.key);
    for entry in entries.iter().filter(known) {
        let path = join("plugins", &entry.key);
        let known = if is_custom(&entry.key) { CUSTOM_PLUGIN } else { PLUGIN };
        let Some(mut fields) = Fields::open(&entry.node, path, known, faults) else { continue };
        let priority: Option<u32> = fields.get("priority", faults);
        let settings = PluginSettings {
            enabled: fields.get("enabled", faults),
            priority: priority.and_then(|priority| priority.try_into().ok()),
            config: match fields.node("config").map(|node| node.tree.to_value()) {
                Some(Value::Object(config)) => config,
                Some(_) => {
                    fields.refuse("config", "write a table".to_string(), faults);
                    Map::new()
                }
                None => Map::new(),
            },
        };
        plugins.insert(entry.key.to_string(), settings);
    }
    plugins
}

/// Reads `FASTAPI_URL`.
pub(super) fn origin_lines(parts: &[&str], regions: &Regions) -> Result<Vec<Origin>, Flaw> {
    let mut origins: Vec<Origin> = Vec::new();
    for (part, text) in parts.iter().enumerate() {
        let origin = origin_line(text, regions).map_err(|wanted| Flaw { part, wanted })?;
        if origins.iter().any(|other| other.name == origin.name) {
            let wanted = format!("a `;name=…` that no other origin has: two are called `{}`", origin.name);
            return Err(Flaw { part, wanted });
        }
        origins.push(origin);
    }
    Ok(origins)
}

/// Reads one origin of `FASTAPI_URL`: `http://host:port;region=us-west;weight=2;name=a`.
fn origin_line(text: &str, regions: &Regions) -> Result<Origin, String> {
    let mut items = text.split(';').map(str::trim);
    let url = OriginUrl::parse(items.next().unwrap_or_default())?;
    let mut origin =
        Origin { name: url.default_name(), url, region: None, weight: core::num::NonZeroU32::MIN };
    let mut seen = Vec::new();
    for item in items.filter(|item| !item.is_empty()) {
        let (key, value) =
            item.split_once('=').ok_or("`;region=…`, `;weight=…` or `;name=…` after the URL")?;
        if seen.contains(&key) {
            return Err(format!("`{key}` once for each URL"));
        }
        seen.push(key);
        let Some(field) = ORIGIN.iter().find(|field| field.name == key && key != "url") else {
            let near = suggestion(key, ["region", "weight", "name"]);
            return Err(format!("`;region=…`, `;weight=…` or `;name=…` after the URL{near}"));
        };
        let Accepts::One(kind) = field.accepts else { continue };
        let wanted = |flaw: Flaw| format!("`;{key}=` with {}", flaw.wanted);
        match key {
            "weight" => origin.weight = Knob::read(&[value], kind).map_err(wanted)?,
            "name" => origin.name = Knob::read(&[value], kind).map_err(wanted)?,
            _ => {
                let region = String::read(&[value], kind).map_err(wanted)?;
                origin.region =
                    Some(regions.resolve(&region).map_err(|message| format!("another region: {message}"))?);
            }
        }
    }
    Ok(origin)
}
