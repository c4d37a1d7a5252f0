//! `Cache-Control` as values (RFC 9111 §5.2). Reads; decides nothing: what a directive means for a response
//! is in [`super::freshness`], for storing in [`super::store_policy`].
//!
//! Where a field cannot be read for certain, the reading is the one that caches less: a line with an unclosed
//! quote or bytes outside ASCII counts as `no-store`, a number that is none as 0, a directive that
//! contradicts itself as 0 (§4.2.1).

use alloc::{borrow::Cow, string::String};
use http::{HeaderMap, header};

/// What a `Cache-Control` says, of a request or of a response. Durations are seconds, at most 2^31 (§1.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    /// Qualified forms (`private="a"`) count as the plain one, which §5.2.2 allows.
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age_s: Option<u64>,
    pub(super) s_maxage_s: Option<u64>,
    pub(super) min_fresh_s: Option<u64>,
    /// Without a number: any.
    pub(super) max_stale_s: Option<u64>,
    /// RFC 5861 §3.
    pub(super) stale_while_revalidate_s: Option<u64>,
    /// RFC 5861 §4.
    pub(super) stale_if_error_s: Option<u64>,
}

impl Directives {
    /// Reads a response's.
    pub(super) fn of_response(headers: &HeaderMap) -> Self {
        let mut read = Self::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            let Ok(line) = line.to_str() else {
                read.no_store = true;
                continue;
            };
            if !each(line, |name, value| read.take(name, value)) {
                read.no_store = true;
            }
        }
        read
    }

    /// Reads a request's; `Pragma: no-cache` counts where there is no `Cache-Control` (§5.4).
    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        let mut read = Self::of_response(headers);
        if !headers.contains_key(header::CACHE_CONTROL) {
            let lines = headers.get_all(header::PRAGMA).iter().filter_map(|line| line.to_str().ok());
            let mut parts = lines.flat_map(|line| line.split(','));
            read.no_cache = parts.any(|part| part.trim().eq_ignore_ascii_case("no-cache"));
        }
        read
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => once(&mut self.max_age_s, seconds(value).unwrap_or(0)),
            "s-maxage" => once(&mut self.s_maxage_s, seconds(value).unwrap_or(0)),
            "min-fresh" => once(&mut self.min_fresh_s, seconds(value).unwrap_or(MAX_S)),
            "max-stale" if value.is_none() => once(&mut self.max_stale_s, u64::MAX),
            "max-stale" => once(&mut self.max_stale_s, seconds(value).unwrap_or(0)),
            "stale-while-revalidate" => {
                once(&mut self.stale_while_revalidate_s, seconds(value).unwrap_or(0));
            }
            "stale-if-error" => once(&mut self.stale_if_error_s, seconds(value).unwrap_or(0)),
            _ => {}
        }
    }
}

/// Sets a number; a second one that differs makes it 0.
fn once(place: &mut Option<u64>, value: u64) {
    *place = Some(match *place {
        Some(before) if before != value => 0,
        _ => value,
    });
}

/// Walks a line. Returns whether it could be read to its end.
fn each(line: &str, mut take: impl FnMut(&str, Option<&str>)) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(|char: char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    });
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value.trim_end_matches([' ', '\t']))),
            None => (part, None),
        };
        let name = name.trim_matches([' ', '\t']);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            take(&name.to_ascii_lowercase(), value);
        } else {
            take(name, value);
        }
    }
    !quoted
}

/// Delta-seconds, as a token or quoted (§5.2: recipients ought to take both forms).
fn seconds(value: Option<&str>) -> Option<u64> {
    let value = value?;
    let text = match value.strip_prefix('"') {
        Some(rest) => unescape(rest.strip_suffix('"')?),
        None => Cow::Borrowed(value),
    };
    delta_seconds(&text)
}

/// Digits alone; past 2^31 it is 2^31 (§1.2.2).
pub(super) fn delta_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(MAX_S).min(MAX_S))
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    Cow::Owned(out)
}

const MAX_S: u64 = 1 << 31;
