//! From a file and the environment to a [`Document`]: defaults, then the file, then the variables. Every error is
//! found before anything is answered.

use alloc::{
    borrow::Cow,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    check,
    error::{ConfigErrors, Faults, Place},
    field::{keys_are_known, parts_of, refusal, split},
    kind::Kind,
    model::Document,
    rules, sections,
    settings::{IN_SECTIONS, ONLY_VARIABLES, Setting, WORKERS_FORMAT},
    standard::STANDARD_NAMES,
    tree::{self, Entry, Node, Source, Tree},
    variables,
};
use crate::gather::gather;

/// Where the gateway runs: some defaults differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Platform {
    /// A server of its own, near its store.
    #[default]
    Native,
    /// A function at the edge, which may open a connection for each request.
    Edge,
}

/// Where each scalar that was written somewhere was written last, by key or variable.
pub(super) type Places = BTreeMap<&'static str, Place>;

impl Document {
    /// Reads a file and an environment over the defaults.
    ///
    /// An empty variable counts as unset, as `NAME=` in a `.env` file means it. Variables outside the gateway's
    /// prefixes are ignored.
    ///
    /// # Errors
    /// All errors of both.
    pub fn read(
        file: Option<Source<'_>>,
        env: impl IntoIterator<Item = (String, String)>,
        defaults: Platform,
    ) -> Result<Self, ConfigErrors> {
        let mut document = Self::default();
        if defaults == Platform::Edge {
            document.store.timeout_ms = EDGE_STORE_TIMEOUT_MS;
        }
        let (name, text) = file.map_or(("", ""), |file| (file.name, file.text));
        let mut faults = Faults::new(name, text);
        let mut places = Places::new();
        if let Some(node) = file.and_then(|file| tree::parse(file, &mut faults)) {
            read_file(&node, &mut document, &mut places, &mut faults);
        }
        let env: BTreeMap<String, String> = gather(env.into_iter().filter(|(_, value)| !value.is_empty()));
        variables::are_known(&env, &mut faults);
        for setting in scalars() {
            if let Some(text) = variables::value(&env, setting.env) {
                read_variable(setting, text, &mut document, &mut places, &mut faults);
            }
        }
        check::across(&mut document, &env, &places, &mut faults);
        faults.finish()?;
        Ok(document)
    }
}

/// Every knob, in the order of the documentation; where two set the same, the one that counts is later. Platforms
/// that cannot list their variables ask for these by name.
pub fn scalars() -> impl Iterator<Item = &'static Setting> {
    ONLY_VARIABLES.iter().chain(IN_SECTIONS).chain(core::iter::once(&WORKERS_FORMAT)).chain(STANDARD_NAMES)
}

/// Reads a tree in the shape of the file over what the document says already.
pub(super) fn read_file(root: &Node, document: &mut Document, places: &mut Places, faults: &mut Faults<'_>) {
    let Tree::Table(entries) = &root.tree else {
        faults.in_file("", root.at, format!("{} is not accepted: write an object", root.tree.what()));
        return;
    };
    let sections =
        || IN_SECTIONS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(section, _)| section);
    keys_are_known(entries, "", || sections().chain(OTHERS.iter().copied()), faults);
    let top = |name: &str| entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node);
    // Before the origins, which name regions.
    if let Some(node) = top("regions") {
        document.regions.extend(node, faults);
    }
    for entry in entries {
        let Entry { key, node, .. } = entry;
        if matches!(node.tree, Tree::Null) {
            continue;
        }
        match key.as_str() {
            "origins" => document.origins = sections::origins(node, &document.regions, faults),
            "routes" => document.routes = sections::routes(node, faults),
            "limits" => document.limits = sections::limits(node, faults),
            "rules" => document.rules = rules::rules(node, faults),
            "plugins" => {
                for (name, settings) in sections::plugins(node, faults) {
                    document.plugins.entry(name).or_default().lay(&settings);
                }
            }
            "workers_format" => read_value(&WORKERS_FORMAT, node, document, places, faults),
            section if sections().any(|known| known == section) => {
                read_section(section, node, document, places, faults);
            }
            _ => {}
        }
    }
}

fn read_section(
    section: &str,
    node: &Node,
    document: &mut Document,
    places: &mut Places,
    faults: &mut Faults<'_>,
) {
    let Tree::Table(entries) = &node.tree else {
        faults.in_file(section, node.at, format!("{} is not accepted: write a table", node.tree.what()));
        return;
    };
    let fields = || IN_SECTIONS.iter().filter_map(|setting| Some((setting.key.split_once('.')?, setting)));
    let known = || fields().filter(|((of, _), _)| *of == section).map(|((_, name), _)| name);
    keys_are_known(entries, section, known, faults);
    for entry in entries {
        let setting = fields().find(|((of, name), _)| *of == section && *name == entry.key);
        if let Some((_, setting)) = setting {
            read_value(setting, &entry.node, document, places, faults);
        }
    }
}

fn read_value(
    setting: &Setting,
    node: &Node,
    document: &mut Document,
    places: &mut Places,
    faults: &mut Faults<'_>,
) {
    let place = faults.place(setting.key, node.at);
    match &node.tree {
        Tree::Null => return,
        Tree::Text(text) if text.is_empty() && matches!(setting.kind, Kind::Text(_) | Kind::OneOf(_)) => {
            return;
        }
        _ => {}
    }
    match parts_of(node, setting.kind).and_then(|parts| apply(setting, &parts, document)) {
        Ok(()) => {
            places.insert(setting.key, place);
        }
        Err(message) => faults.note(place, message),
    }
}

fn read_variable(
    setting: &Setting,
    text: &str,
    document: &mut Document,
    places: &mut Places,
    faults: &mut Faults<'_>,
) {
    let place = Place::Variable(setting.env.to_string());
    let parts = match setting.kind {
        Kind::List(_) => split(text),
        _ => Vec::from([Cow::Borrowed(text)]),
    };
    let read = match parts.is_empty() {
        true => Err(format!("the list is empty: write {}, or unset it", setting.kind.accepts())),
        false => apply(setting, &parts, document),
    };
    match read {
        Ok(()) => {
            places.insert(if setting.key.is_empty() { setting.env } else { setting.key }, place);
        }
        Err(message) => faults.note(place, message),
    }
}

fn apply(setting: &Setting, parts: &[Cow<'_, str>], document: &mut Document) -> Result<(), String> {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    (setting.set)(document, &parts, setting.kind)
        .map_err(|flaw| refusal(&parts, &flaw, setting.kind, setting.secret))
}

/// Top-level keys that are no sections of scalars. `$schema` is for editors.
const OTHERS: &[&str] =
    &["origins", "routes", "limits", "rules", "plugins", "regions", "workers_format", "$schema"];

/// Time for a connection across an ocean and a decision.
const EDGE_STORE_TIMEOUT_MS: u64 = 1000;

#[cfg(test)]
mod tests;
