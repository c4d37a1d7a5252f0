//! `?region=&status=&format=`.

use alloc::{borrow::ToOwned, string::String};
use percent_encoding::percent_decode_str;

use crate::config::WorkersFormat;

/// What of the list is wanted, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) region: Option<String>,
    pub(super) status: Option<String>,
    pub(super) format: WorkersFormat,
}

impl Query {
    /// Reads it; other parameters are somebody else's.
    ///
    /// # Errors
    /// A parameter that stands twice, is not UTF-8, or has a value that means nothing.
    pub(super) fn read(query: Option<&str>, format: WorkersFormat) -> Result<Self, &'static str> {
        let mut found = Self { region: None, status: None, format };
        let mut formatted = false;
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            match name.as_str() {
                "region" => set(&mut found.region, value)?,
                "status" => {
                    if !value.is_empty() && !STATUSES.contains(&value.as_str()) {
                        return Err(
                            "`status` must be `online`, `busy`, `idle`, `going_offline` or `offline`",
                        );
                    }
                    set(&mut found.status, value)?;
                }
                "format" if formatted => return Err(TWICE),
                "format" => {
                    formatted = true;
                    found.format = match value.as_str() {
                        "gateway" => WorkersFormat::Gateway,
                        "backend" => WorkersFormat::Backend,
                        _ => return Err("`format` must be `gateway` or `backend`"),
                    };
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

/// An empty value asks for nothing in particular.
fn set(place: &mut Option<String>, value: String) -> Result<(), &'static str> {
    if place.is_some() {
        return Err(TWICE);
    }
    if value.len() > 64 || value.chars().any(char::is_control) {
        return Err("`region` must be the name of a region");
    }
    *place = Some(value).filter(|value| !value.is_empty());
    Ok(())
}

fn decode(text: &str) -> Result<String, &'static str> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(|text| (*text).to_owned()).map_err(|_| "the query must be UTF-8 once decoded")
}

const TWICE: &str = "a query parameter stands twice; send it once";
const STATUSES: [&str; 5] = ["online", "busy", "idle", "going_offline", "offline"];
