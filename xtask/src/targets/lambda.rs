//! The lambda build: see `docs/targets.md`.

use std::process::Command;

use crate::run::Error;

/// Builds what is deployed, and what serves it here.
pub(crate) fn build() -> Result<(), Error> {
    Err("the lambda build is not here yet".into())
}

/// Serves it.
pub(crate) fn launcher() -> Result<Command, Error> {
    Err("the lambda build is not here yet".into())
}
