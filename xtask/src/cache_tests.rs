//! `cargo xtask cache-tests`: a public suite about HTTP caches, run against the native build with the embedded store and with
//! Redis. What came of it is a part of docs/conformance.md.

use std::fs;

use crate::{
    run::{Error, command, must, output, root},
    setup, test,
};

/// Runs all of it and writes the document, or shows one test.
pub(crate) fn run(id: Option<&str>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::node()?;
    test::gateway()?;
    let root = root()?;
    let (script, gateway) = (root.join("tests/node/http_cache.mjs"), root.join("target/e2e/acip-gateway"));
    let text = |path: &std::path::Path| {
        path.to_str().map(str::to_owned).ok_or("the repository's path is no text".to_owned())
    };
    let (script, gateway) = (text(&script)?, text(&gateway)?);
    let mut node = command("node", &[&script, &gateway])?;
    node.current_dir(root.join("target/node"));
    if let Some(id) = id {
        return must({
            node.arg(id);
            node
        });
    }
    eprintln!("xtask: http-cache-tests, some twenty seconds");
    let table = output(node)?;
    replace("http-cache-tests", &table)
}

/// Puts a table between its two marks in the document.
pub(crate) fn replace(name: &str, table: &str) -> Result<(), Error> {
    let path = root()?.join("docs/conformance.md");
    let name_file = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(&path).map_err(name_file)?;
    let marks = [format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n")];
    let parts =
        text.split_once(&marks[0]).and_then(|(before, rest)| Some((before, rest.split_once(&marks[1])?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{} has no place for {name}", path.display()))?;
    let new = format!("{before}{}\n{table}\n\n{}{after}", marks[0], marks[1]);
    if new == text { Ok(()) } else { fs::write(&path, new).map_err(name_file) }
}
