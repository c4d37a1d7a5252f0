//! The gateway's variables: the environment, and over it the platform's own, which have the same names in small letters.

use acip_core::config::scalars;
#[cfg(feature = "spin")]
use spin_sdk::variables::{Error, get};

/// Reads them all.
///
/// # Errors
/// One is there but cannot be read.
pub(crate) async fn read() -> Result<Vec<(String, String)>, String> {
    let mut all: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    for name in scalars().map(|setting| setting.env).chain([DOCUMENT]) {
        if let Some(value) = of_the_platform(name).await? {
            all.push((name.to_owned(), value));
        }
    }
    Ok(all)
}

#[cfg(feature = "spin")]
async fn of_the_platform(name: &str) -> Result<Option<String>, String> {
    match get(name.to_ascii_lowercase()).await {
        // The manifest gives every variable a value; an empty one stands for none.
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(Error::Undefined(_)) => Ok(None),
        Err(error) => Err(format!("variable `{}`: {error}", name.to_ascii_lowercase())),
    }
}

#[cfg(not(feature = "spin"))]
async fn of_the_platform(_: &str) -> Result<Option<String>, String> {
    Ok(None)
}

/// The text of the document.
const DOCUMENT: &str = "GATEWAY_CONFIG";
