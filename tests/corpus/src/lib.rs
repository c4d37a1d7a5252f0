//! The corpus: cases as data ([`case`], written in `tests/cases`), what their placeholders stand for ([`template`]),
//! how they are read ([`load`]), run against a target ([`run`]) and compared ([`check`]).
//!
//! It holds no expectation itself. Start with `tests/cases/README.md`, then [`run::Target`].

pub mod case;
pub mod check;
pub mod expect;
pub mod generate;
pub mod inside;
mod kept;
pub mod live;
pub mod load;
mod moment;
pub mod redis;
pub mod run;
mod said;
pub mod template;

use std::path::PathBuf;

/// The folder of the cases.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cases")
}
