//! How long an answer may be used (RFC 9111 §4.2, RFC 5861). Worked out once, when it is stored; a hit only
//! compares numbers. Where the origin says nothing, a route's own `ttl_seconds` holds, then a guess if the route asks for
//! guesses (§4.2.2), else nothing.

use core::cell::LazyCell;
use http::{HeaderMap, StatusCode, header};

use super::{
    dates,
    directives::{self, Directives},
};

/// The life of a stored answer. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// When it was received, unix ms.
    pub(super) received_ms: u64,
    /// `corrected_initial_age` (§4.2.3).
    pub(super) initial_age_ms: u64,
    /// `freshness_lifetime` (§4.2.1).
    pub(super) fresh_ms: u64,
    /// Past its freshness it may be served while it is refreshed.
    pub(super) while_revalidate_ms: u64,
    /// Past its freshness it may be served in place of an error.
    pub(super) if_error_ms: u64,
    /// Never to be served past its freshness, whoever allows it (§4.2.4).
    pub(super) strict: bool,
    /// Never to be served without asking the origin (`no-cache`).
    pub(super) validate: bool,
}

/// What may be done with a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Serve it.
    Fresh,
    /// Serve it past its freshness; ask the origin meanwhile if `refresh`.
    Stale {
        /// Whether the origin allowed it (else the client did).
        refresh: bool,
    },
    /// Ask the origin first: it is past its freshness, or the origin wants so.
    Expired,
    /// Ask the origin first: the client wants so.
    Unwanted,
}

impl Life {
    /// Reads it from a response that has `said` this; none where nobody says how long it lives. Times are unix ms.
    pub(super) fn read(
        status: StatusCode,
        headers: &HeaderMap,
        said: &Directives,
        sent_ms: u64,
        received_ms: u64,
        unsaid: Unsaid,
    ) -> Option<Self> {
        // Read only where it matters: most answers say nothing of their life.
        let date_s = LazyCell::new(|| dates::field(headers, &header::DATE));
        let received_s = i64::try_from(received_ms / 1000).unwrap_or(i64::MAX);
        let expires = headers.contains_key(header::EXPIRES).then(|| {
            // An unreadable date is one in the past (§5.3).
            let expires_s = dates::field(headers, &header::EXPIRES).unwrap_or(i64::MIN);
            let lifetime_s = expires_s.saturating_sub((*date_s).unwrap_or(received_s));
            u64::try_from(lifetime_s).unwrap_or(0)
        });
        let fallback = || unsaid.ttl_s.filter(|_| status == StatusCode::OK).map(u64::from);
        let guess = || {
            if !unsaid.heuristic || !(said.public || GUESSED.contains(&status)) {
                return None;
            }
            let modified_s = dates::field(headers, &header::LAST_MODIFIED)?;
            let unchanged_s = (*date_s).unwrap_or(received_s).saturating_sub(modified_s);
            Some((u64::try_from(unchanged_s).unwrap_or(0) / 10).min(MAX_GUESS_S))
        };
        let explicit = said.s_maxage_s.or(said.max_age_s).or(expires);
        let fresh_s = explicit.or(said.no_cache.then_some(0)).or_else(fallback).or_else(guess)?;

        // §4.2.3. Dates have whole seconds: comparing them with a finer clock would age every answer by half
        // of one.
        let apparent_s = (*date_s).map_or(0, |date_s| received_s.saturating_sub(date_s).max(0));
        let delay_ms = received_ms.saturating_sub(sent_ms);
        // An age that cannot be read is taken for more than anybody allows.
        let told_ms = age_s(headers).map_or(u64::MAX, |age_s| age_s.saturating_mul(1000));
        let corrected_ms = told_ms.saturating_add(delay_ms);
        Some(Self {
            received_ms,
            initial_age_ms: corrected_ms.max(u64::try_from(apparent_s).unwrap_or(0).saturating_mul(1000)),
            fresh_ms: fresh_s.saturating_mul(1000),
            while_revalidate_ms: said.stale_while_revalidate_s.unwrap_or(0).saturating_mul(1000),
            if_error_ms: said.stale_if_error_s.unwrap_or(0).saturating_mul(1000),
            // `s-maxage` carries `proxy-revalidate` in itself (§5.2.2.10).
            strict: said.must_revalidate
                || said.proxy_revalidate
                || said.no_cache
                || said.s_maxage_s.is_some(),
            validate: said.no_cache,
        })
    }

    /// `current_age` (§4.2.3); a clock that went back makes nothing younger than it was received.
    pub(super) fn age_ms(&self, now_ms: u64) -> u64 {
        self.initial_age_ms.saturating_add(now_ms.saturating_sub(self.received_ms))
    }

    /// Freshness that is left, ms; none if it is over.
    pub(super) fn left_ms(&self, now_ms: u64) -> Option<u64> {
        self.fresh_ms.checked_sub(self.age_ms(now_ms)).filter(|left| *left > 0)
    }

    /// Ms past its freshness.
    pub(super) fn staleness_ms(&self, now_ms: u64) -> u64 {
        self.age_ms(now_ms).saturating_sub(self.fresh_ms)
    }

    /// What this request may do with it (§4, §5.2.1).
    pub(super) fn judge(&self, now_ms: u64, wants: &Directives) -> Use {
        if self.validate {
            return Use::Expired;
        }
        let age_ms = self.age_ms(now_ms);
        let young = wants.max_age_s.is_none_or(|max_s| max_s > 0 && age_ms <= max_s.saturating_mul(1000));
        if let Some(left_ms) = self.left_ms(now_ms) {
            let lasting = wants.min_fresh_s.is_none_or(|min_s| left_ms >= min_s.saturating_mul(1000));
            let wanted = !wants.no_cache && young && lasting;
            return if wanted { Use::Fresh } else { Use::Unwanted };
        }
        if self.strict || wants.no_cache || !young || wants.min_fresh_s.is_some() {
            return Use::Expired;
        }
        let stale_ms = self.staleness_ms(now_ms);
        // A client that names an age does not take stale answers unless it says so (§5.2.1.1).
        let refresh =
            self.while_revalidate_ms > 0 && stale_ms <= self.while_revalidate_ms && wants.max_age_s.is_none();
        let taken = wants.max_stale_s.is_some_and(|max_s| stale_ms <= max_s.saturating_mul(1000));
        if refresh || taken { Use::Stale { refresh } } else { Use::Expired }
    }

    /// Whether it may stand in for an error (RFC 5861 §4); the client may allow it too.
    pub(super) fn covers_error(&self, now_ms: u64, wants: &Directives) -> bool {
        if self.strict || wants.no_cache {
            return false;
        }
        let asked_ms = wants.stale_if_error_s.unwrap_or(0).saturating_mul(1000);
        let allowed_ms = self.if_error_ms.max(asked_ms);
        allowed_ms > 0 && self.staleness_ms(now_ms) <= allowed_ms
    }

    /// When nothing can be made of it any more, unix ms. An answer that can be validated is worth more than
    /// its freshness.
    pub(super) fn over_ms(&self, has_validator: bool) -> u64 {
        let windows = if self.strict { 0 } else { self.while_revalidate_ms.max(self.if_error_ms) };
        let kept = if has_validator { windows.max(VALIDATOR_KEPT_MS) } else { windows };
        let left = self.fresh_ms.saturating_add(kept).saturating_sub(self.initial_age_ms);
        self.received_ms.saturating_add(left.min(MAX_KEPT_MS))
    }
}

/// `Age`, 0 where there is none; none where it is not one number. §5.1 would have such a field ignored, or its first
/// member used; but who sends one has lost count, and the answer may be as old as it likes.
fn age_s(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(header::AGE).iter();
    let Some(only) = values.next() else { return Some(0) };
    if values.next().is_some() {
        return None;
    }
    directives::delta_seconds(only.to_str().ok()?.trim())
}

/// What holds where the origin says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsaid {
    /// Seconds, of a 200.
    pub(super) ttl_s: Option<u32>,
    /// Whether to guess (§4.2.2).
    pub(super) heuristic: bool,
}

/// Statuses whose answers may be guessed about (RFC 9110 §15.1), but for parts.
const GUESSED: [StatusCode; 11] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::NO_CONTENT,
    StatusCode::MULTIPLE_CHOICES,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::GONE,
    StatusCode::URI_TOO_LONG,
    StatusCode::NOT_IMPLEMENTED,
];
/// One day.
const MAX_GUESS_S: u64 = 86_400;

/// Ten minutes: long enough for a client that comes back, short enough not to fill the store.
const VALIDATOR_KEPT_MS: u64 = 600_000;
/// One day: nothing in the store lives for ever.
pub(super) const MAX_KEPT_MS: u64 = 86_400_000;
