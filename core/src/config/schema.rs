//! The JSON Schema of the file (draft 2020-12), for editors; built from the tables that reading uses. Reading is the
//! judge: the schema cannot say everything that is checked.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value, json};

use super::{
    field::{Accepts, Field},
    kind::Kind,
    model::Document,
    read::scalars,
    regions, rules, sections,
    settings::{Setting, Words, words},
};

/// The schema.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for (setting, words) in scalars().zip(words()).filter(|(setting, _)| !setting.key.is_empty()) {
        match setting.key.split_once('.') {
            None => {
                properties.insert(setting.key.to_string(), scalar(setting, words));
            }
            Some((section, key)) => {
                let table = properties.entry(section).or_insert_with(|| object(Map::new(), &[]));
                if let Some(Value::Object(entries)) = table.get_mut("properties") {
                    entries.insert(key.to_string(), scalar(setting, words));
                }
            }
        }
    }
    for (name, fields) in [
        ("origins", sections::ORIGIN),
        ("routes", sections::ROUTE),
        ("limits", sections::LIMIT),
        ("rules", rules::RULE),
    ] {
        let array = json!({ "type": "array", "items": table(fields) });
        properties.insert(name.to_string(), array);
    }
    let plugins = sections::PLUGINS.iter().map(|name| ((*name).to_string(), table(sections::PLUGIN)));
    let mut plugins = object(plugins.collect(), &[]);
    if let Value::Object(plugins) = &mut plugins {
        let custom = json!({ "-plugin$": table(sections::CUSTOM_PLUGIN) });
        plugins.insert("patternProperties".to_string(), custom);
    }
    properties.insert("plugins".to_string(), plugins);
    let regions = json!({
        "aliases": { "type": "object", "additionalProperties": { "type": "string" } },
        "distances": { "type": "array", "items": table(regions::DISTANCE) },
    });
    if let Value::Object(regions) = regions {
        properties.insert("regions".to_string(), object(regions, &[]));
    }
    properties.insert("$schema".to_string(), json!({ "type": "string" }));
    let mut schema = object(properties, &[]);
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_string(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_string(), json!("ACIP gateway"));
    }
    schema
}

fn object(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut object = Map::new();
    object.insert("type".to_string(), json!("object"));
    object.insert("additionalProperties".to_string(), json!(false));
    object.insert("properties".to_string(), Value::Object(properties));
    if !required.is_empty() {
        object.insert("required".to_string(), json!(required));
    }
    Value::Object(object)
}

fn table(fields: &[Field]) -> Value {
    let property = |field: &Field| {
        let accepts = match field.accepts {
            Accepts::One(accepted) => kind(accepted),
            Accepts::FalseOr(fields) => json!({ "anyOf": [{ "const": false }, table(fields)] }),
            Accepts::Table(fields) => table(fields),
            Accepts::Free => json!({ "type": "object" }),
        };
        (field.name.to_string(), described(accepts, field.doc))
    };
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    object(fields.iter().map(property).collect(), &required)
}

fn scalar(setting: &Setting, words: &Words) -> Value {
    let mut schema = described(kind(setting.kind), &format!("{} Variable: `{}`.", words.doc, setting.env));
    let default = (setting.show)(&Document::default());
    if let (Value::Object(schema), false) = (&mut schema, default.is_null()) {
        schema.insert("default".to_string(), default);
    }
    schema
}

fn described(mut schema: Value, description: &str) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_string(), json!(description));
    }
    schema
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "anyOf": [
            { "type": "boolean" },
            { "enum": [0, 1] },
            { "type": "string", "pattern": FLAG_WORDS },
        ] }),
        Kind::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Share => json!({ "anyOf": [
            { "type": "number", "minimum": 0, "maximum": 1 },
            { "type": "string", "pattern": "^(0?[.][0-9]+|0|1([.]0*)?|0[.])$" },
        ] }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Text(form) => json!({ "type": "string", "$comment": form.accepts() }),
        Kind::List(form) => json!({
            "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }],
            "$comment": form.accepts(),
        }),
    }
}

/// Words of a flag; the dialect has no switch for ignoring case.
const FLAG_WORDS: &str =
    "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|1|0|[Yy][Ee][Ss]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$";
