//! The document: what is accepted compiles or says why, shows no secret, and what is refused names a place.

use acip_core::{
    Gateway,
    config::{Document, Format, Platform, Source},
};

/// The first byte chooses TOML or JSON; then comes the file up to a zero byte, then variables, a line each.
pub fn document(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let Ok(text) = core::str::from_utf8(rest) else { return };
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let format = if kind % 2 == 0 { Format::Toml } else { Format::Json };
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let platform = if kind % 4 < 2 { Platform::Native } else { Platform::Edge };
    match Document::read(Some(Source { name: "gateway", text: file, format }), variables, platform) {
        Ok(document) => {
            let _ = document.masked();
            let _ = document.to_toml_masked();
            if let Err(error) = Gateway::compile(document) {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(errors) => {
            assert!(errors.iter().next().is_some(), "refused for no reason");
            assert!(errors.iter().all(|error| !error.to_string().is_empty()));
        }
    }
}
