//! Commands as a path: `/set/key/value?EX=100`.

use bytes::Bytes;
use percent_encoding::percent_decode;

use super::json::Words;

/// A request's target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The decoded segments of the path; none of `/`.
    pub(super) segments: Words,
    /// The decoded parameters in their order, names and values that are not empty, without `_token`.
    pub(super) parameters: Words,
    /// `_token`.
    pub(super) token: Option<Bytes>,
}

impl Target {
    /// Takes a path and a query apart. An empty segment is an empty argument, except at the end.
    pub(super) fn parse(path: &str, query: Option<&str>) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments = if path.is_empty() {
            Words::new()
        } else {
            path.split('/').map(|part| decoded(part.as_bytes())).collect()
        };
        let (mut parameters, mut token) = (Words::new(), None);
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (form(name), form(value));
            if name == TOKEN {
                token = Some(value);
                continue;
            }
            parameters.push(name);
            if !value.is_empty() {
                parameters.push(value);
            }
        }
        Self { segments, parameters, token }
    }
}

fn decoded(text: &[u8]) -> Bytes {
    percent_decode(text).collect::<Vec<u8>>().into()
}

/// In a query, as forms write it, `+` is a space.
fn form(text: &str) -> Bytes {
    decoded(text.replace('+', " ").as_bytes())
}

const TOKEN: &[u8] = b"_token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_becomes_words() {
        let check = |path: &str,
                     query: Option<&str>,
                     segments: &[&[u8]],
                     parameters: &[&[u8]],
                     token: Option<&str>| {
            let words = |words: &[&[u8]]| words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
            let token = token.map(|token| Bytes::copy_from_slice(token.as_bytes()));
            let expected = Target { segments: words(segments), parameters: words(parameters), token };
            assert_eq!(Target::parse(path, query), expected, "{path}?{query:?}");
        };
        check("/", None, &[], &[], None);
        check("/get/a", None, &[b"get", b"a"], &[], None);
        check("/get/a/", None, &[b"get", b"a"], &[], None);
        check("/set/a//EX/1", None, &[b"set", b"a", b"", b"EX", b"1"], &[], None);
        check("/set/a%2Fb/%00%FF+", None, &[b"set", b"a/b", b"\0\xff+"], &[], None);
        check("/set/a", Some("EX=10&NX&XX="), &[b"set", b"a"], &[b"EX", b"10", b"NX", b"XX"], None);
        check("/set/a", Some("_token=t%2B&EX=1+2"), &[b"set", b"a"], &[b"EX", b"1 2"], Some("t+"));
        check("/", Some("&&"), &[], &[], None);
    }
}
