//! Tables of the file, read by a list of their fields: unknown, repeated and missing keys are found in one place,
//! and the documentation is written from the same list.

use alloc::{
    borrow::{Cow, ToOwned},
    collections::BTreeSet,
    format,
    string::String,
    vec::Vec,
};

use super::{
    error::{Faults, suggestion},
    kind::Kind,
    knob::{Flaw, Knob},
    tree::{Entry, Node, Tree},
};

/// One key of a table that may stand several times, such as `[[routes]]`.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it accepts.
    pub accepts: Accepts,
    /// Whether it must be there.
    pub required: bool,
    /// What it does.
    pub doc: &'static str,
}

/// What a field accepts.
#[derive(Clone, Copy, Debug)]
pub enum Accepts {
    /// One value.
    One(Kind),
    /// `false`, or a table.
    FalseOr(&'static [Field]),
    /// A table.
    Table(&'static [Field]),
    /// A table of anything.
    Free,
}

impl Field {
    pub(super) const fn one(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, accepts: Accepts::One(kind), required: false, doc }
    }

    pub(super) const fn false_or(name: &'static str, fields: &'static [Self], doc: &'static str) -> Self {
        Self { name, accepts: Accepts::FalseOr(fields), required: false, doc }
    }

    pub(super) const fn table(name: &'static str, fields: &'static [Self], doc: &'static str) -> Self {
        Self { name, accepts: Accepts::Table(fields), required: false, doc }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// A table that is being read.
pub(super) struct Fields<'n> {
    path: String,
    entries: &'n [Entry],
    fields: &'static [Field],
}

impl<'n> Fields<'n> {
    /// Checks the keys of a table. None if it is none.
    pub(super) fn open(
        node: &'n Node,
        path: String,
        fields: &'static [Field],
        faults: &mut Faults<'_>,
    ) -> Option<Self> {
        let Tree::Table(entries) = &node.tree else {
            faults.in_file(&path, node.at, format!("{} is not accepted: write a table", node.tree.what()));
            return None;
        };
        let known = || fields.iter().map(|field| field.name);
        keys_are_known(entries, &path, known, faults);
        for field in fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|entry| entry.key == field.name) {
                faults.in_file(&path, node.at, format!("`{}` is missing: {}", field.name, field.doc));
            }
        }
        Some(Self { path, entries, fields })
    }

    /// The value of a key, if it is there.
    pub(super) fn node(&self, name: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (!matches!(entry.node.tree, Tree::Null)).then_some(&entry.node)
    }

    /// Path of a key.
    pub(super) fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Reads a key. None if it is absent, or wrong, which is noted.
    pub(super) fn get<T: Knob>(&mut self, name: &str, faults: &mut Faults<'_>) -> Option<T> {
        let node = self.node(name)?;
        let field = self.fields.iter().find(|field| field.name == name)?;
        let Accepts::One(kind) = field.accepts else { return None };
        match parts_of(node, kind).and_then(|parts| read(&parts, kind, false)) {
            Ok(value) => Some(value),
            Err(message) => {
                faults.in_file(&self.path(name), node.at, message);
                None
            }
        }
    }

    /// Notes that a key's value is wrong for a reason beyond its own form.
    pub(super) fn refuse(&mut self, name: &str, message: String, faults: &mut Faults<'_>) {
        faults.in_file(&self.path(name), self.node(name).and_then(|node| node.at), message);
    }

    /// A table under a key that may also take `false`: the outer none is absence, the inner one `false`.
    pub(super) fn table(&mut self, name: &str, faults: &mut Faults<'_>) -> Option<Option<Fields<'n>>> {
        let node = self.node(name)?;
        let field = self.fields.iter().find(|field| field.name == name)?;
        let (fields, wanted) = match field.accepts {
            Accepts::FalseOr(fields) => (fields, "`false` or a table"),
            Accepts::Table(fields) => (fields, "a table"),
            Accepts::One(_) | Accepts::Free => return None,
        };
        match &node.tree {
            Tree::Flag(false) if matches!(field.accepts, Accepts::FalseOr(_)) => Some(None),
            Tree::Table(_) => Fields::open(node, self.path(name), fields, faults).map(Some),
            other => {
                let message = format!("{} is not accepted: write {wanted}", other.what());
                self.refuse(name, message, faults);
                None
            }
        }
    }
}

/// Notes keys that nobody knows and keys that are repeated (TOML's parser finds the latter itself).
pub(super) fn keys_are_known<'w, W: IntoIterator<Item = &'w str>>(
    entries: &[Entry],
    path: &str,
    known: impl Fn() -> W,
    faults: &mut Faults<'_>,
) {
    let mut earlier = BTreeSet::new();
    for entry in entries {
        let key = &entry.key;
        if !earlier.insert(key) {
            faults.in_file(&join(path, key), entry.at, "this key stands here twice; keep one");
        } else if !known().into_iter().any(|name| name == key) {
            let message = format!("unknown key `{}`{}", shown(key), suggestion(key, known()));
            faults.in_file(&join(path, key), entry.at, message);
        }
    }
}

/// A value of the file as the parts that knobs read. Text stays text and numbers numbers: `"5"` is no number.
pub(super) fn parts_of(node: &Node, kind: Kind) -> Result<Vec<Cow<'_, str>>, String> {
    let wrong = |tree: &Tree| format!("{} is not accepted: write {}", tree.what(), kind.accepts());
    let one = match (&node.tree, kind) {
        (Tree::Flag(flag), Kind::Flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        (Tree::Number(n), Kind::Flag | Kind::Number { .. } | Kind::Share) => Cow::Borrowed(n.as_str()),
        (Tree::Text(text), Kind::Flag | Kind::Share | Kind::OneOf(_) | Kind::Text(_)) => {
            Cow::Borrowed(text.as_str())
        }
        (Tree::Text(text), Kind::List(_)) => return Ok(split(text)),
        (Tree::List(items), Kind::List(_)) => {
            let part = |item: &'_ Node| match &item.tree {
                Tree::Text(text) => Ok(Cow::Owned(text.clone())),
                other => Err(wrong(other)),
            };
            return items.iter().map(part).collect();
        }
        (other, _) => return Err(wrong(other)),
    };
    Ok(Vec::from([one]))
}

/// Items between commas; empty ones, as after a last comma, are none.
pub(super) fn split(text: &str) -> Vec<Cow<'_, str>> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Cow::Borrowed).collect()
}

/// Reads parts into a value.
pub(super) fn read<T: Knob>(parts: &[Cow<'_, str>], kind: Kind, secret: bool) -> Result<T, String> {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    T::read(&parts, kind).map_err(|flaw| refusal(&parts, &flaw, kind, secret))
}

/// The error's message for a flaw.
pub(super) fn refusal(parts: &[&str], flaw: &Flaw, kind: Kind, secret: bool) -> String {
    let part = parts.get(flaw.part).copied().unwrap_or_default();
    let nearest = match kind {
        Kind::OneOf(words) => suggestion(&part.to_ascii_lowercase(), words.iter().copied()),
        _ => String::new(),
    };
    // An `@` in a URL may come after a password.
    let subject = match kind {
        _ if !secret && !part.contains('@') => format!("`{}`", shown(part)),
        Kind::List(_) => format!("entry {}", flaw.part.saturating_add(1)),
        _ => "the value".to_owned(),
    };
    format!("{subject} is not accepted: write {}{nearest}", flaw.wanted)
}

/// A user's text, fit for one line of a terminal.
pub(super) fn shown(text: &str) -> String {
    let mut chars = text.chars().flat_map(char::escape_debug);
    let mut shown: String = chars.by_ref().take(80).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A dotted path.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
