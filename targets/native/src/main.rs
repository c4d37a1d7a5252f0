//! The binary.

use std::process::ExitCode;

use acip_core::config::Document;
use acip_gateway::{logs, server};

fn main() -> ExitCode {
    let document = Document::default();
    logs::init(&document.log);
    match server::run(document, Box::new(|| Ok(Document::default()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    }
}
