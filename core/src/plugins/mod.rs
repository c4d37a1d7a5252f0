//! The built-in plugins, each registered here and nowhere else, and the two ends of the pipeline that are not
//! plugins: [`arrival`] (head → request) and [`departure`] (decision → what goes out).

use alloc::{string::String, sync::Arc, vec::Vec};

use crate::{config::Document, gateway::CompileError, plugin::Plugin};

pub mod arrival;
pub mod auth;
pub mod cors;
pub mod departure;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod routes;

/// All built-in plugins for a document.
///
/// # Errors
/// A part of the document that does not compile.
pub fn builtin(document: &Document) -> Result<Vec<Arc<dyn Plugin>>, CompileError> {
    Ok(alloc::vec![Arc::new(cors::Cors::new(document)) as Arc<dyn Plugin>])
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
