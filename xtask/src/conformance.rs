//! docs/conformance.md: prose by hand, tables by the commands that make them.

use std::fs;

use crate::run::{Error, root};

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
