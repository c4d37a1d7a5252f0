//! What is wrong with a document: everything at once, each with its place.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::gather::sort_short;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// Its name.
        name: String,
        /// Line and column from 1, where the format tells.
        line_column: Option<(usize, usize)>,
        /// Dotted key, such as `routes[2].limit.window_ms`; empty for the file as a whole.
        key: String,
    },
    /// In this environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::File { name, line_column, key } => {
                f.write_str(name)?;
                if let Some((line, column)) = line_column {
                    write!(f, ":{line}:{column}")?;
                }
                if key.is_empty() { Ok(()) } else { write!(f, ": {key}") }
            }
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What, and what is accepted. Never a secret.
    pub message: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors: the file's from top to bottom, then the variables'.
    pub fn iter(&self) -> core::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}. {error}", i.saturating_add(1))?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigErrors {}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = core::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Errors met so far, and the file that places in it refer to.
pub(super) struct Faults<'a> {
    name: &'a str,
    text: &'a str,
    errors: Vec<ConfigError>,
}

impl<'a> Faults<'a> {
    /// None yet, for a file of this name and text.
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, errors: Vec::new() }
    }

    /// Notes an error; past [`MAX_ERRORS`] nobody reads on.
    pub(super) fn note(&mut self, place: Place, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ConfigError { place, message: message.into() });
        }
    }

    /// The place of a key, whose value stands at this byte of the file.
    pub(super) fn place(&self, key: &str, at: Option<usize>) -> Place {
        let line_column = at.and_then(|at| self.text.get(..at.min(self.text.len()))).map(|before| {
            let line = before.matches('\n').count().saturating_add(1);
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
            (line, column)
        });
        Place::File { name: self.name.to_string(), line_column, key: key.to_string() }
    }

    /// Notes an error in the file.
    pub(super) fn in_file(&mut self, key: &str, at: Option<usize>, message: impl Into<String>) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let place = self.place(key, at);
        self.note(place, message);
    }

    /// Fails if anything was noted.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        let place = |error: &ConfigError| match &error.place {
            Place::File { line_column, .. } => (false, *line_column),
            Place::Variable(_) => (true, None),
        };
        sort_short(&mut self.errors, |one, two| place(one) < place(two));
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }
}

/// "; did you mean `x`?" with the nearest of some words, if one is near enough to be meant.
pub(crate) fn suggestion<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The nearest of some words. One letter in four may differ: `prot` means `port`, `plot` does not mean `tls`.
pub(super) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // The comparison takes time in proportion to the product of both lengths, and no knob's name is that long.
    if word.len() > 80 {
        return None;
    }
    let distance = |known: &'w str| (strsim::damerau_levenshtein(word, known), known);
    let (distance, near) = known.into_iter().map(distance).min_by_key(|(distance, _)| *distance)?;
    (distance <= (word.len() / 4).max(1)).then_some(near)
}

/// Errors that are kept, so that a file of nothing but errors costs no more than reading it.
const MAX_ERRORS: usize = 1000;
