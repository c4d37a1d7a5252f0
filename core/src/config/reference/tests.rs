//! The committed files are what the tables say. `UPDATE_DOCS=1 cargo test -p acip-core config` rewrites them.

use std::{borrow::ToOwned, env, fs, path::Path, string::String};

use super::*;
use crate::config::{Format, Platform, Source, schema};

#[track_caller]
fn check(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == expected, "{file} is stale: run `UPDATE_DOCS=1 cargo test -p acip-core config`");
}

#[test]
fn the_reference_is_current() {
    check("docs/configuration.md", &reference());
}

#[test]
fn the_schema_is_current() {
    let schema = serde_json::to_string_pretty(&schema()).unwrap();
    check("docs/gateway.schema.json", &(schema + "\n"));
}

#[test]
fn the_example_environment_is_current() {
    check(".env.example", &example_env());
}

fn read(name: &str, text: &str, env: impl IntoIterator<Item = (String, String)>) -> Document {
    let source = Source { name, text, format: Format::Toml };
    Document::read(Some(source), env, Platform::Native).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Also with every line uncommented, which changes nothing: it shows defaults.
#[test]
fn the_example_environment_is_the_default() {
    let example = example_env();
    let lines =
        example.lines().filter_map(|line| line.strip_prefix('#')).filter_map(|line| line.split_once('='));
    let variables = lines
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let document = read("empty", "", variables.clone());
    assert_eq!(variables.count(), scalars().count());
    assert_eq!(format!("{document:?}"), format!("{:?}", Document::default()));
}

#[test]
fn the_example_file_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway.example.toml");
    let text = fs::read_to_string(path).unwrap();
    let uncommented: String =
        text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n").collect();
    for text in [text, uncommented] {
        let document = read("gateway.example.toml", &text, []);
        assert!(!document.origins.is_empty());
    }
}

#[test]
fn each_knob_has_one_name_and_words() {
    let mut names = std::collections::BTreeSet::new();
    assert_eq!(scalars().count(), words().count());
    for (setting, Words { doc, why }) in scalars().zip(words()) {
        assert!(names.insert(setting.env), "{} twice", setting.env);
        assert!(setting.key.is_empty() || names.insert(setting.key), "{} twice", setting.key);
        for words in [doc, why] {
            assert!(
                words.ends_with('.') && words.len() > 10 && !words.contains("  "),
                "{}: {words}",
                setting.env
            );
        }
    }
}
