//! Where the document comes from: a file, `.env` and the environment.

use std::{fs, path::PathBuf};

use acip_core::config::{self, Document, Format, Platform};

use super::Failure;

/// A place to read the document from, again and again.
pub(super) struct Source {
    file: Option<PathBuf>,
}

impl Source {
    /// `.env` of the working directory counts too, below the real environment.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// Reads and validates.
    pub(super) fn read(&self) -> Result<Document, Failure> {
        let text = match &self.file {
            None => None,
            Some(path) => Some((
                path.display().to_string(),
                fs::read_to_string(path).map_err(|error| {
                    Failure::Configuration(format!("cannot read `{}`: {error}", path.display()))
                })?,
            )),
        };
        let source = text.as_ref().map(|(name, text)| config::Source {
            name,
            text,
            format: if name.ends_with(".json") { Format::Json } else { Format::Toml },
        });
        Document::read(source, environment()?, Platform::Native)
            .map_err(|errors| Failure::Configuration(errors.to_string()))
    }
}

/// The environment laid over `.env`, which is read anew each time so that a reload sees its changes.
fn environment() -> Result<Vec<(String, String)>, Failure> {
    let mut variables: Vec<(String, String)> = Vec::new();
    match dotenvy::from_filename_iter(".env") {
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::Configuration(format!("cannot read `.env`: {error}"))),
        Ok(lines) => {
            for line in lines {
                variables.push(
                    line.map_err(|error| Failure::Configuration(format!("cannot read `.env`: {error}")))?,
                );
            }
        }
    }
    for (name, value) in std::env::vars_os() {
        // A name or value that is no UTF-8 cannot be one of ours.
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
    }
    Ok(variables)
}
