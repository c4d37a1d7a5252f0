//! Comma-separated fields (RFC 9110 §5.6.1) without being fooled by quoted strings and comments.

use alloc::{borrow::ToOwned, string::String};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The members of all lines of a list field, in order, trimmed, empty ones left out. Lines that are not visible
/// ASCII are left out.
pub(crate) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|line| split(line, ','))
}

/// Whether `Accept` names this media type, with a weight that is not zero (RFC 9110 §12.5.1).
pub(crate) fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    members(headers, &http::header::ACCEPT).any(|range| {
        let mut parts = split(range, ';');
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
        let zero = |part: &str| {
            part.split_once('=').is_some_and(|(name, weight)| {
                name.eq_ignore_ascii_case("q")
                    && weight.trim_start_matches('0').trim_matches(['.', '0']).is_empty()
            })
        };
        named && !parts.any(zero)
    })
}

/// Splits at a separator outside of quoted strings (RFC 9110 §5.6.4) and comments (§5.6.5).
pub(crate) fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    let mut depth = 0_u32;
    text.split(move |char: char| {
        if escaped {
            escaped = false;
            return false;
        }
        match char {
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth = depth.saturating_add(1),
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => return char == separator && !quoted && depth == 0,
        }
        false
    })
    .map(|part| part.trim_matches([' ', '\t']))
    .filter(|part| !part.is_empty())
}

/// The content of a quoted string, or the text itself where it is a token; none where neither (RFC 9110 §5.6).
pub(crate) fn unquote(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return is_token(text).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.push(chars.next()?),
            '"' => return None,
            _ => out.push(char),
        }
    }
    Some(out)
}

/// Whether this is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Adds one member to `Vary`, unless it is there or `*` is.
pub(crate) fn vary_on(headers: &mut HeaderMap, member: &str) {
    let vary = http::header::VARY;
    if members(headers, &vary).any(|have| have == "*" || have.eq_ignore_ascii_case(member)) {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(member) {
        headers.append(vary, value);
    }
}
