//! Queries as forms write them (`application/x-www-form-urlencoded`).

use alloc::{borrow::Cow, string::String};
use percent_encoding::percent_decode_str;

/// A part of a query as forms write it; none where it is not UTF-8.
pub(crate) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let spaced: String = text.chars().map(|char| if char == '+' { ' ' } else { char }).collect();
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()))
}
