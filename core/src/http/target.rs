//! What a request target means. Two parties that read one path differently are a hole in the fence, so a path with
//! more than one reading is refused, and routes are matched on the decoded form that the origin will see.

use alloc::{borrow::Cow, string::String, vec::Vec};
use http::Uri;

/// A path that has exactly one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// Percent-decoded once (as an ASGI server does), without the trailing slash; at least `/`.
    pub(crate) decoded: Cow<'a, str>,
    /// How a laxer server could read it: decoded again, in lower case, without `;parameters`. None where that
    /// is the same.
    pub(crate) lax: Option<String>,
}

/// Reads the path of a target.
///
/// # Errors
/// What is wrong with it, to be told to the client.
pub(crate) fn read(uri: &Uri) -> Result<Path<'_>, &'static str> {
    let raw = uri.path();
    if !raw.starts_with('/') {
        return Err("the request target must be a path");
    }
    if uri.query().is_some_and(|query| query.bytes().any(|byte| byte.is_ascii_control())) {
        return Err("the query must not hold control characters");
    }
    if is_plain(raw) {
        return Ok(Path { decoded: shorten(Cow::Borrowed(raw)), lax: None });
    }
    let decoded = decode(raw)?;
    segments(&decoded)?;
    let lax = lax(&decoded)?;
    Ok(Path { decoded: shorten(decoded), lax })
}

/// Whether a path can be read in one way only, as is seen at a glance of nearly every path there is: nothing to decode, no
/// dots, no parameters, no capital letters, no empty segments.
fn is_plain(path: &str) -> bool {
    let plain =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'/' | b'-' | b'_');
    let bytes = path.as_bytes();
    bytes.iter().all(plain) && !bytes.windows(2).any(|pair| pair == b"//")
}

/// Percent-decodes a path strictly (RFC 3986 §2.1).
fn decode(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    if raw.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_control() || byte == b'\\') {
        return Err("the path must not hold control characters, backslashes or bytes outside ASCII");
    }
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(digit), bytes.next().and_then(digit)) else {
            return Err("the path holds a `%` that is not followed by two hex digits");
        };
        match high << 4 | low {
            b'/' | b'\\' => return Err("the path must not hold an encoded slash or backslash"),
            byte if byte.is_ascii_control() => return Err("the path must not hold control characters"),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).map(Cow::Owned).map_err(|_| "the path must be UTF-8 once decoded")
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Refuses segments that a server could resolve away (RFC 3986 §5.2.4).
fn segments(path: &str) -> Result<(), &'static str> {
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        // The last one may be empty: a trailing slash.
        if segment.is_empty() && rest.peek().is_some() {
            return Err("the path must not hold empty segments");
        }
        let name = segment.split(';').next().unwrap_or_default();
        if name == "." || name == ".." {
            return Err("the path must not hold `.` or `..` segments");
        }
    }
    Ok(())
}

fn lax(decoded: &str) -> Result<Option<String>, &'static str> {
    let odd = |byte: u8| byte.is_ascii_uppercase() || byte == b';' || byte == b'%';
    if !decoded.bytes().any(odd) {
        return Ok(None);
    }
    // Characters outside ASCII were judged above; a second decoding only matters where it is complete.
    let again = if decoded.is_ascii() && decoded.contains('%') {
        match decode(decoded) {
            Ok(again) => {
                segments(&again)?;
                again
            }
            Err(_) if encodes(decoded) => return Err("the path is percent-encoded twice"),
            Err(_) => Cow::Borrowed(decoded),
        }
    } else {
        Cow::Borrowed(decoded)
    };
    let mut out = String::with_capacity(again.len());
    for segment in again.split('/').skip(1) {
        out.push('/');
        let name = segment.split(';').next().unwrap_or_default();
        out.extend(name.chars().map(|char| char.to_ascii_lowercase()));
    }
    let out = shorten(Cow::Owned(out)).into_owned();
    Ok((out != shorten(Cow::Borrowed(decoded))).then_some(out))
}

/// Whether any complete escape is left.
fn encodes(text: &str) -> bool {
    text.split('%').skip(1).any(|after| {
        let mut bytes = after.bytes();
        bytes.next().and_then(digit).is_some() && bytes.next().and_then(digit).is_some()
    })
}

/// Drops one trailing slash: origins redirect or serve the same resource, so it must be guarded the same.
fn shorten(path: Cow<'_, str>) -> Cow<'_, str> {
    let cut = |path: &str| path.len() > 1 && path.ends_with('/');
    match path {
        Cow::Borrowed(path) if cut(path) => Cow::Borrowed(path.strip_suffix('/').unwrap_or(path)),
        Cow::Owned(mut path) if cut(&path) => {
            path.pop();
            Cow::Owned(path)
        }
        path => path,
    }
}

/// One spelling for an id that stands for a resource at the origin. The origin's language reads UUIDs leniently (case,
/// braces, `urn:uuid:`, hyphens anywhere), so two spellings of one job would have two owners here.
///
/// # Errors
/// A text that such a reader could take for a UUID, but that this function cannot.
pub(crate) fn canonical_id(text: &str) -> Result<String, &'static str> {
    if is_canonical(text) {
        return Ok(text.into());
    }
    let bare = text.replace("urn:", "").replace("uuid:", "");
    let bare: String = bare.trim_matches(['{', '}']).chars().filter(|char| *char != '-').collect();
    if bare.chars().count() != 32 {
        return Ok(text.into());
    }
    if let Ok(id) = uuid::Uuid::try_parse(&bare) {
        return Ok(alloc::string::ToString::to_string(&id.hyphenated()));
    }
    let readable = |char: char| {
        char.is_ascii_hexdigit() || "_+xX".contains(char) || char.is_whitespace() || char.is_numeric()
    };
    if bare.chars().all(readable) { Err("the id is an unusual spelling of a UUID") } else { Ok(text.into()) }
}

/// Whether this is a UUID as RFC 9562 §4 writes it, which is nearly every id there is.
fn is_canonical(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
