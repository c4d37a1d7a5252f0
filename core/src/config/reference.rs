//! `docs/configuration.md` and `.env.example`, written from the tables that reading uses: what is documented is what
//! is accepted. The tests compare the committed files and rewrite them with `UPDATE_DOCS=1`.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::Value;

use super::{
    field::{Accepts, Field},
    kind::Kind,
    model::{Document, Regions},
    read::scalars,
    regions, rules, sections,
    settings::{Setting, Words, words},
};

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(PREFACE);
    let mut section = None;
    for (setting, words) in scalars().zip(words()) {
        let of = setting.key.split_once('.').map(|(section, _)| section);
        if section != Some(of) {
            section = Some(of);
            let title = match of {
                Some(of) => format!("`[{of}]`"),
                None if setting.key.is_empty() => "Variables that the file says in another way".to_string(),
                None => "Top level".to_string(),
            };
            text.push_str(&format!("\n### {title}\n\n"));
        }
        text.push_str(&entry(setting, words));
    }
    text.push_str(STRUCTURE);
    for (title, about, fields) in TABLES {
        text.push_str(&format!("\n### {title}\n\n{about}\n\n| key | accepts | meaning |\n|---|---|---|\n"));
        text.push_str(&rows("", fields));
    }
    let plugins: Vec<String> = sections::PLUGINS.iter().map(|name| format!("`{name}`")).collect();
    text.push_str(&format!("\nNames of plugins: {}.\n", plugins.join(", ")));
    text.push_str(REGIONS);
    let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let built_in = Regions::default();
    for (alias, name) in built_in.aliases.iter().filter(|(alias, name)| alias != name) {
        names.entry(name).or_default().push(format!("`{alias}`"));
    }
    for (name, aliases) in names {
        text.push_str(&format!("| `{name}` | {} |\n", aliases.join(", ")));
    }
    text
}

/// The text of `.env.example`: every variable with its default, commented out.
pub fn example_env() -> String {
    let mut text = String::from(ENV_PREFACE);
    let (only_variables, settings): (Vec<_>, Vec<_>) =
        scalars().zip(words()).partition(|(setting, _)| setting.key.is_empty());
    for (setting, words) in only_variables.into_iter().chain(settings) {
        text.push_str(&format!("\n# {}\n", plain(words.doc)));
        if setting.kind != Kind::Flag {
            text.push_str(&format!("# Accepts {}.\n", plain(&setting.kind.accepts())));
        }
        text.push_str(&format!("#{}={}\n", setting.env, default_of(setting).unwrap_or_default()));
    }
    text
}

fn entry(setting: &Setting, words: &Words) -> String {
    let key = if setting.key.is_empty() { String::new() } else { format!(" · `{}`", setting.key) };
    let default = match default_of(setting) {
        Some(default) if default.is_empty() => "empty".to_string(),
        Some(default) => format!("`{default}`"),
        None => "unset".to_string(),
    };
    let list = if matches!(setting.kind, Kind::List(_)) { "a list; each entry " } else { "" };
    let secret = if setting.secret { " Never shown." } else { "" };
    format!(
        "- **`{}`**{key} — {}{secret}\n  Accepts {list}{}. Default: {default}. *{}*\n",
        setting.env,
        words.doc,
        setting.kind.accepts(),
        words.why,
    )
}

/// The default as it would be written in a variable; none if there is none.
fn default_of(setting: &Setting) -> Option<String> {
    match (setting.show)(&Document::default()) {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

fn rows(prefix: &str, fields: &[Field]) -> String {
    let mut text = String::new();
    for field in fields {
        let required = if field.required { " (required)" } else { "" };
        let accepts = match field.accepts {
            Accepts::One(kind) => kind.accepts().replace('|', "\\|"),
            Accepts::FalseOr(_) => "`false` or a table".to_string(),
            Accepts::Table(_) | Accepts::Free => "a table".to_string(),
        };
        text.push_str(&format!("| `{prefix}{}`{required} | {accepts} | {} |\n", field.name, field.doc));
        if let Accepts::FalseOr(fields) | Accepts::Table(fields) = field.accepts {
            text.push_str(&rows(&format!("{prefix}{}.", field.name), fields));
        }
    }
    text
}

fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// Title, what it is for, fields.
const TABLES: &[(&str, &str, &[Field])] = &[
    (
        "`[[origins]]`",
        "The servers behind the gateway. `FASTAPI_URL` takes the place of all of them.",
        sections::ORIGIN,
    ),
    (
        "`[[routes]]`",
        "Rules over the built-in ones. The first that matches wins; what it leaves out stays as it was.",
        sections::ROUTE,
    ),
    (
        "`[[limits]]`",
        "Limits besides the default one. A request must pass every limit it matches.",
        sections::LIMIT,
    ),
    (
        "`[[rules]]`",
        "Conditions in the Common Expression Language and what follows from them, in order, for `cel-plugin`. \
         [`plugins.md`](plugins.md) says what conditions can name.",
        rules::RULE,
    ),
    (
        "`[[regions.distances]]`",
        "How far regions are apart. A pair that is missing is farther than any that is there.",
        regions::DISTANCE,
    ),
    (
        "`[plugins.NAME]`",
        "Switches of plugins. `config` is for plugins of your own, whose names end in `-plugin`: see \
         [`plugins.md`](plugins.md).",
        sections::CUSTOM_PLUGIN,
    ),
];

const PREFACE: &str = "\
# Configuration

<!-- Written by `UPDATE_DOCS=1 cargo test -p acip-core config`; change the tables in `core/src/config`. -->

One document, from a file (`gateway.toml`, or the same as JSON) and from variables. Defaults < file < variables <
changes made while the gateway runs. `acip-gateway check` prints what is in force, with its secrets masked, or every
error at once with its place, and then ends with code 2. [`gateway.schema.json`](gateway.schema.json) is the file's
JSON Schema, [`gateway.example.toml`](../gateway.example.toml) an example, [`.env.example`](../.env.example) all
variables.

- Booleans are `true` / `false`, `1` / `0`, `yes` / `no`, `on` / `off` in any case; so are other words.
- Numbers are digits only in variables: no sign, no point, no exponent, no blanks. In the file they are numbers, not
  strings.
- Lists are arrays in the file and separated by commas in variables.
- An empty variable counts as unset, as in the line `NAME=` of a `.env` file, and so does an empty string in the file.
- A value that is not understood stops the start. So does an unknown key, and an unknown variable that begins with
  `GATEWAY_`, `FASTAPI_`, `REDIS_`, `UPSTASH_REDIS_REST_`, `AUTH_`, `RATE_LIMIT_`, `CACHE_`, `ROUTER_`, `METRICS_`,
  `LOG_`, `CORS_` or `TLS_`, or that differs by a letter or two from one of ours. Other `OTEL_…` variables are left to
  whom they belong, and what Kubernetes sets for services (`REDIS_PORT=tcp://…`, `REDIS_SERVICE_HOST`, …) is ignored.
- `GATEWAY_CONFIG` names the file.

## Values
";

const STRUCTURE: &str = "\n## Parts of the file\n";

const REGIONS: &str = "
## Regions

`[regions]` has `aliases`, a table of `alias = \"name\"`, and `distances`. It adds to the built-in ones and may change
them. Case does not matter. A name that nobody knows is a region of its own, unless it differs by one letter from a
known one: that is refused as a slip of the pen until it is named under `[regions.aliases]`.

| name | built-in aliases |
|---|---|
";

const ENV_PREFACE: &str = "\
# Every variable of the gateway with its default. Copy to `.env` and uncomment what you change.
# Written by `UPDATE_DOCS=1 cargo test -p acip-core config`; docs/configuration.md explains more.
";

#[cfg(test)]
mod tests;
