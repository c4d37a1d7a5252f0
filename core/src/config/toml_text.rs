//! Writes a configuration as TOML: scalars first, then tables, then arrays of tables; deeper tables inline.

use alloc::{format, string::String, vec::Vec};
use serde_json::{Map, Value};

/// The text of a document.
pub(super) fn document(root: &Value) -> String {
    let mut text = String::new();
    if let Value::Object(root) = root {
        table(&mut text, "", root);
    }
    text
}

fn table(text: &mut String, path: &str, entries: &Map<String, Value>) {
    let (tables, scalars): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, value)| stands_apart(value));
    if !path.is_empty() && (!scalars.is_empty() || tables.is_empty()) {
        push_header(text, &format!("[{path}]"));
    }
    for (name, value) in scalars.iter().filter(|(_, value)| !value.is_null()) {
        text.push_str(&format!("{} = {}\n", key(name), inline(value)));
    }
    for (name, value) in tables {
        let path = if path.is_empty() { key(name) } else { format!("{path}.{}", key(name)) };
        match value {
            Value::Object(entries) => table(text, &path, entries),
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    push_header(text, &format!("[[{path}]]"));
                    for (name, value) in item.iter().filter(|(_, value)| !value.is_null()) {
                        text.push_str(&format!("{} = {}\n", key(name), inline(value)));
                    }
                }
            }
            _ => {}
        }
    }
}

fn push_header(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(header);
    text.push('\n');
}

/// Whether a value gets headers of its own.
fn stands_apart(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_object),
        _ => false,
    }
}

/// A value on one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| format!("{} = {}", key(name), inline(value));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        // JSON's escapes are TOML's but for DEL, which JSON leaves bare.
        Value::String(text) => quoted(text),
        other => format!("{other}"),
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if bare { name.into() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("{}", Value::from(text)).replace('\u{7f}', "\\u007f")
}
