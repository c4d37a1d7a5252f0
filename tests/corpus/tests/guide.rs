//! The plugin guide, in both languages: its code is that of files which are tested, and its rules do what it says. What begins
//! with `file=` is compared; `UPDATE_DOCS=1` writes it.

use std::{fs, path::PathBuf};

use acip_core::store::Memory;
use acip_corpus::{inside::InProcess, load, run::run_all};

const GUIDES: [&str; 2] = ["docs/plugins.md", "docs/plugins.zh.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A guide with the code of the files that it names.
fn with_code(guide: &str) -> String {
    let mut text = String::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        if let Some((_, path)) = line.strip_prefix("```").and_then(|line| line.split_once(" file=")) {
            text.push_str(&read(path));
            text.push_str("```\n");
            lines.by_ref().find(|line| *line == "```");
        }
    }
    text
}

#[test]
fn code_is_that_of_tested_files() {
    for path in GUIDES {
        let guide = read(path);
        let wanted = with_code(&guide);
        assert!(guide.contains(" file="), "{path} names no file");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(root().join(path), &wanted).expect("writes");
        } else {
            assert_eq!(guide, wanted, "{path}: run `UPDATE_DOCS=1 cargo test -p acip-corpus --test guide`");
        }
    }
}

/// Both languages show the same: headings and rows are as many, and code and names are the same.
#[test]
fn both_languages_say_as_much() {
    let [english, chinese] = GUIDES.map(read);
    let count = |text: &str, start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    for start in ["#", "|", "```", "**"] {
        assert_eq!(count(&english, start), count(&chinese, start), "lines that begin with `{start}`");
    }
}

#[test]
fn the_rules_of_the_guide_do_what_it_says() {
    let mut document: toml::Table = toml::from_str(&read("examples/rules.toml")).expect("is TOML");
    let origins = r#"
        [[origins]]
        name = "usual"
        url = "http://usual.test"
        [[origins]]
        name = "next"
        url = "http://next.test"
        [auth]
        api_keys = ["alice:alice-key-01", "acme:acme-key-02"]
    "#;
    document.extend(toml::from_str::<toml::Table>(origins).expect("is TOML"));
    let steps = r#"
        about = "docs/plugins.md"
        step = [
          { request = "GET /api/v1/beta/a", headers = { x-api-key = "alice-key-01" }, expect = { error = "NOT_FOUND" } },
          { request = "GET /api/v1/beta/a", headers = { x-api-key = "alice-key-01", x-beta = "1" }, origin = {}, expect = { status = 200 } },
          { request = "GET /api/v1/models", client = "192.0.2.1", headers = { x-api-key = "acme-key-02" }, expect = { error = "FORBIDDEN", json = { error = { message = "this key is for the office" } } } },
          { request = "GET /api/v1/models", client = "10.1.2.3", headers = { x-api-key = "acme-key-02" }, origin = {}, expect = { status = 200 } },
          { request = "POST /api/v1/images?size=2048", headers = { x-api-key = "alice-key-01" }, origin = {}, expect = { headers = { ratelimit = { contains = '"images";r=90' } } } },
          { request = "POST /api/v1/images?size=512", headers = { x-api-key = "alice-key-01" }, origin = {}, expect = { headers = { ratelimit = { lacks = "images" } } } },
          { request = "GET /api/v1/models", headers = { x-api-key = "alice-key-01", x-model = "next-7", x-debug = "1" }, origin = { headers = { x-powered-by = "python" } }, expect = { origins = ["next"], cache = "BYPASS", headers = { x-served-by = "next", x-powered-by = false }, sent = { headers = { x-tier = "preview", x-debug = false } } } },
          { request = "GET /api/v1/models", turn = 0, headers = { x-api-key = "alice-key-01", x-model = "next" }, origin = {}, expect = { origins = ["usual"], headers = { x-served-by = false } } },
        ]
    "#;
    let mut case: toml::Table = toml::from_str(steps).expect("is TOML");
    case.insert("document".to_owned(), document.into());
    let text = toml::to_string(&case).expect("is TOML");
    let cases = load::read("guide.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let tally = run_all(&mut InProcess::new(Memory::default()), &cases, "");
    assert!(tally.failed.is_empty(), "{tally}");
}
