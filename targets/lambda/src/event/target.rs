//! Request targets from events: some callers decode what the client wrote, and a target has to be written again as one.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::fields::Pairs;

/// The path without the stage of an HTTP API in front of it.
pub(super) fn without_stage<'p>(path: &'p str, stage: Option<&str>) -> &'p str {
    let stage = stage.filter(|stage| *stage != "$default" && !stage.is_empty());
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    match rest {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// A target of a path and a query, with everything encoded that cannot stand there. Where the path was `decoded` on its
/// way, a percent sign in it may be the client's character and no escape.
pub(super) fn join(path: &str, decoded: bool, query: &str) -> String {
    let mut target = String::with_capacity(path.len() + query.len() + 2);
    if !path.starts_with('/') {
        target.push('/');
    }
    if decoded {
        escape(path, PATH, &mut target);
    } else {
        target.extend(utf8_percent_encode(path, PATH));
    }
    if !query.is_empty() {
        target.push('?');
        target.extend(utf8_percent_encode(query, QUERY));
    }
    target
}

/// The query of parameters in an object; encoded anew where they were `decoded`.
pub(super) fn query(one: Option<&Pairs<String>>, many: Option<&Pairs<Vec<String>>>, decoded: bool) -> String {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| {
        if !query.is_empty() {
            query.push('&');
        }
        if decoded {
            query.extend(utf8_percent_encode(name, WORD));
            query.push('=');
            query.extend(utf8_percent_encode(value, WORD));
        } else {
            query.extend([name, "=", value]);
        }
    };
    match (many, one) {
        (Some(many), _) if !many.0.is_empty() => {
            for (name, values) in &many.0 {
                values.iter().for_each(|value| add(name, value));
            }
        }
        (_, Some(one)) => one.0.iter().for_each(|(name, value)| add(name, value)),
        _ => {}
    }
    query
}

/// Encodes what is in `set`, and percent signs that begin no escape.
fn escape(text: &str, set: &'static AsciiSet, to: &mut String) {
    let mut parts = text.split('%');
    to.extend(utf8_percent_encode(parts.next().unwrap_or_default(), set));
    for part in parts {
        let escapes =
            part.as_bytes().first_chunk::<2>().is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        to.push_str(if escapes { "%" } else { "%25" });
        to.extend(utf8_percent_encode(part, set));
    }
}

/// What cannot stand in a path.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

/// What cannot stand in a query.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// What cannot stand in the name or value of a parameter.
const WORD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
