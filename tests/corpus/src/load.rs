//! From files to cases: what a file shares goes into each of its cases, and each variant makes one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    case::{Case, Need},
    template::Values,
};

/// Reads every case below a folder, in the order of their names.
///
/// # Errors
/// Everything that is wrong with the files, one line each.
pub fn load(folder: &Path) -> Result<Vec<Case>, Vec<String>> {
    let mut files = Vec::new();
    find(folder, &mut files).map_err(|error| vec![format!("{}: {error}", folder.display())])?;
    files.sort();
    let (mut cases, mut errors) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => match read(&name, &text) {
                Ok(read) => cases.extend(read),
                Err(error) => errors.push(error),
            },
            Err(error) => errors.push(format!("{name}: {error}")),
        }
    }
    let mut names: Vec<&str> = cases.iter().map(|case: &Case| case.name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
    errors.extend(twice.map(|pair| format!("{}: two cases have this name", pair[0])));
    if errors.is_empty() { Ok(cases) } else { Err(errors) }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads the cases of one file.
///
/// # Errors
/// The first thing that is wrong with it, with the file's name.
pub fn read(name: &str, text: &str) -> Result<Vec<Case>, String> {
    let file: Value = toml::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    let Value::Object(mut file) = file else { return Err(format!("{name}: is no table")) };
    let cases = match file.remove("case") {
        None => return variants(name, file),
        Some(Value::Array(cases)) => cases,
        Some(_) => return Err(format!("{name}: `case` is a list: write `[[case]]`")),
    };
    let mut all = Vec::new();
    for (index, case) in cases.into_iter().enumerate() {
        let Value::Object(mut case) = case else { return Err(format!("{name}: a case is a table")) };
        let own = match case.remove("name") {
            Some(Value::String(own)) => own,
            _ => return Err(format!("{name}: case {} has no `name`", index + 1)),
        };
        let mut whole = file.clone();
        for (field, value) in case {
            match (whole.get_mut(&field), value) {
                (Some(Value::Object(shared)), Value::Object(own)) => merge(shared, own),
                (_, value) => {
                    whole.insert(field, value);
                }
            }
        }
        all.extend(variants(&format!("{name}: {own}"), whole)?);
    }
    Ok(all)
}

fn merge(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

fn variants(name: &str, mut case: Map<String, Value>) -> Result<Vec<Case>, String> {
    let defaults = match case.remove("defaults") {
        None => Map::new(),
        Some(Value::Object(defaults)) => defaults,
        Some(_) => return Err(format!("{name}: `defaults` is a table")),
    };
    let variants = match case.remove("variant") {
        None => return typed(name, &case, &defaults, &Map::new()).map(|case| vec![case]),
        Some(Value::Array(variants)) => variants,
        Some(_) => return Err(format!("{name}: `variant` is a list: write `[[variant]]`")),
    };
    let mut all = Vec::new();
    for (index, variant) in variants.into_iter().enumerate() {
        let Value::Object(mut variant) = variant else { return Err(format!("{name}: a variant is a table")) };
        let Some(Value::String(own)) = variant.remove("name") else {
            return Err(format!("{name}: variant {} has no `name`", index + 1));
        };
        all.push(typed(&format!("{name}: {own}"), &case, &defaults, &variant)?);
    }
    Ok(all)
}

fn typed(
    name: &str,
    case: &Map<String, Value>,
    defaults: &Map<String, Value>,
    variant: &Map<String, Value>,
) -> Result<Case, String> {
    let both = defaults.iter().chain(variant);
    let mut values =
        Values::new(both.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>());
    let failed = |error: String| format!("{name}: {error}");
    let filled = values.fill(&Value::Object(case.clone())).map_err(failed)?;
    if let Some(unused) = values.unused() {
        return Err(failed(format!("no placeholder is named `{unused}`")));
    }
    let mut case: Case = serde_json::from_value(filled).map_err(|error| failed(error.to_string()))?;
    name.clone_into(&mut case.name);
    if values.moments && !case.needs.contains(&Need::Clock) {
        case.needs.push(Need::Clock);
    }
    if case.step.is_empty() {
        return Err(failed("has no `[[step]]`".to_owned()));
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_makes_its_cases() {
        let text = r#"
            about = "x"
            [document.auth]
            enabled = false
            [[case]]
            name = "one"
            step = [{ request = "GET /${path}" }]
            variant = [{ name = "a", path = "a" }, { name = "b", path = "b" }]
            [[case]]
            name = "two"
            about = "y"
            document = { auth = { api_keys = ["k"] } }
            step = [{ request = "GET /" }]
        "#;
        let cases = read("f.toml", text).expect("reads");
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["f.toml: one: a", "f.toml: one: b", "f.toml: two"]);
        assert_eq!(cases[1].step[0].request, "GET /b");
        assert_eq!(cases[2].document["auth"]["enabled"], false);
        assert_eq!(cases[2].document["auth"]["api_keys"][0], "k");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_file() {
        let cases = [
            ("step = [{ request = \"GET /\" }]", "missing field `about`"),
            ("about = \"x\"", "missing field `step`"),
            ("about = \"x\"\nstep = []", "has no `[[step]]`"),
            ("about = \"x\"\nsteps = []", "unknown field `steps`"),
            ("about = \"x\"\nstep = [{ request = \"GET /\", expects = {} }]", "unknown field `expects`"),
            (
                "about = \"x\"\nstep = [{ request = \"GET /\", origin = { state = 1 } }]",
                "unknown field `state`",
            ),
            ("about = \"x\"\nstep = [{ request = \"GET ${p}\" }]", "`${p}` stands for nothing"),
            (
                "about = \"x\"\ndefaults = { p = 1 }\nstep = [{ request = \"GET /\" }]",
                "no placeholder is named `p`",
            ),
            ("about = \"x\"\nstep = [{ request = \"GET /\", at = \"soon\" }]", "`soon` is no time"),
            ("about =", "f.toml: "),
        ];
        for (text, expected) in cases {
            let error = read("f.toml", text).map(|cases| cases.len()).expect_err(text);
            assert!(error.starts_with("f.toml: ") && error.contains(expected), "{text}: {error}");
        }
    }
}
