//! `spin.toml`, manifest version 2, with every field that Spin 4 knows and that an application like ours may have; any other is
//! an error, as it is there.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    application: Application,
    /// By name.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be known")]
struct Application {
    name: String,
    version: Option<String>,
    description: Option<String>,
    #[serde(default)]
    authors: Vec<String>,
    trigger: Option<toml::Table>,
    tool: Option<toml::Table>,
}

/// A variable of the application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    /// Without a default, the start fails where it is not given.
    #[serde(default)]
    pub(crate) required: bool,
    /// Where it is not given.
    pub(crate) default: Option<String>,
    #[serde(default)]
    #[cfg_attr(not(test), expect(dead_code, reason = "read to be known"))]
    pub(crate) secret: bool,
    #[expect(dead_code, reason = "read to be known")]
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    http: Vec<HttpTrigger>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be known")]
struct HttpTrigger {
    id: Option<String>,
    route: String,
    component: String,
    executor: Option<toml::Table>,
}

/// A component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be known")]
pub(crate) struct Component {
    source: String,
    description: Option<String>,
    /// What the component sees, as templates over the application's variables.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// Its environment.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it may connect to, as templates.
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    targets: Option<Vec<toml::Value>>,
    build: Option<Build>,
    tool: Option<toml::Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read to be known")]
struct Build {
    command: toml::Value,
    workdir: Option<String>,
    #[serde(default)]
    watch: Vec<String>,
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    /// What Spin would not take.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
        Self::parse(&text).map_err(|error| bad(&error))
    }

    /// Of a file's text.
    ///
    /// # Errors
    /// What Spin would not take.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if manifest.spin_manifest_version != 2 {
            return Err("`spin_manifest_version` is not 2".into());
        }
        kebab(&manifest.application.name)?;
        for id in manifest.component.keys() {
            kebab(id)?;
        }
        for name in manifest.variables.keys() {
            snake(name)?;
        }
        for (name, variable) in &manifest.variables {
            if variable.required == variable.default.is_some() {
                return Err(format!("variable `{name}` needs either a default or `required = true`"));
            }
        }
        match manifest.trigger.http.as_slice() {
            [only] if only.route == "/..." && manifest.component.contains_key(&only.component) => {
                Ok(manifest)
            }
            _ => {
                Err("one HTTP trigger with the route `/...` and a component of this file is served here"
                    .into())
            }
        }
    }

    /// The component that the trigger names.
    pub(crate) fn component(&self) -> &Component {
        let [trigger, ..] = self.trigger.http.as_slice() else {
            unreachable!("there is one, or it would not parse")
        };
        self.component.get(&trigger.component).expect("it is there, or the file would not parse")
    }
}

impl Component {
    /// Path of the wasm file.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}

/// Identifiers of the component model: words of one case, joined by hyphens.
fn kebab(id: &str) -> Result<(), String> {
    let word = |word: &str| {
        let starts = word.starts_with(|c: char| c.is_ascii_alphabetic());
        let rest = word.chars().all(|c| c.is_ascii_alphanumeric());
        let one_case = word == word.to_ascii_lowercase() || word == word.to_ascii_uppercase();
        starts && rest && one_case
    };
    if id.split('-').all(word) { Ok(()) } else { Err(format!("`{id}` is not in kebab-case")) }
}

/// Names of variables: lower-case words joined by single underscores.
fn snake(name: &str) -> Result<(), String> {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if name.split('_').all(word) { Ok(()) } else { Err(format!("`{name}` is not in lower_snake_case")) }
}

#[cfg(test)]
mod tests;
