//! W3C Trace Context: reading, continuing and writing `traceparent`, and whether `tracestate` may travel along.

use alloc::{string::String, vec::Vec};
use http::HeaderMap;

use super::{list, names};
use crate::{
    config::{Otel, Ratio, Sampler},
    facts::Entropy,
    hex::push_hex,
    request::TraceContext,
};

/// Continues the caller's trace where there is exactly one valid `traceparent` (§3.2.2), else starts one.
/// The sampler says which are recorded.
pub(crate) fn context(headers: &HeaderMap, entropy: &Entropy, sampling: Sampling) -> TraceContext {
    let span_id = nonzero(entropy.span);
    let mut lines = headers.get_all(names::TRACEPARENT).iter();
    let only = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    };
    match only.and_then(parse) {
        Some((trace_id, parent_id, flags)) => {
            let flags = sampling.flags(trace_id, Some(flags));
            TraceContext { trace_id, parent_id, span_id, flags }
        }
        None => {
            let trace_id = nonzero(entropy.trace);
            TraceContext { trace_id, parent_id: [0; 8], span_id, flags: sampling.flags(trace_id, None) }
        }
    }
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sampling {
    /// Nothing is recorded here: what the caller says is passed on.
    Off,
    /// By a sampler, with its share.
    By(Sampler, Ratio),
}

impl Sampling {
    pub(crate) fn new(otel: &Otel) -> Self {
        if otel.is_on() { Self::By(otel.sampler, otel.sampler_arg) } else { Self::Off }
    }

    fn flags(self, trace_id: [u8; 16], parent: Option<u8>) -> u8 {
        let Self::By(sampler, ratio) = self else { return parent.unwrap_or_default() };
        let share = || {
            let [.., a, b, c, d, e, f, g, h] = trace_id;
            // Its random half, as the samplers of the standard's own libraries take it.
            u8::from(ratio.admits(u64::from_be_bytes([a, b, c, d, e, f, g, h])))
        };
        match (sampler, parent) {
            (Sampler::AlwaysOn, _) | (Sampler::ParentBasedAlwaysOn, None) => SAMPLED,
            (Sampler::AlwaysOff, _) | (Sampler::ParentBasedAlwaysOff, None) => 0,
            (Sampler::Ratio, _) | (Sampler::ParentBasedRatio, None) => share(),
            (_, Some(flags)) => flags,
        }
    }
}

/// What a child of the gateway's own span is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The request's command to the store.
    Store,
    /// An attempt at an origin; the first is 0.
    Attempt(usize),
    /// Work behind the client's back.
    Behind,
}

/// The id of that part's span. The same on every target, without further chance: a permutation of 64 bits that scatters
/// its input.
pub(crate) fn child(trace: &TraceContext, part: Part) -> [u8; 8] {
    // As wide on every target: a count of machine words is not.
    let number = match part {
        Part::Store => 0,
        Part::Attempt(place) => u64::try_from(place).unwrap_or(u64::MAX).saturating_add(1),
        Part::Behind => u64::MAX,
    };
    let mut bits = u64::from_be_bytes(trace.span_id).wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    nonzero((bits ^ (bits >> 31)).to_be_bytes())
}

impl TraceContext {
    /// For what the gateway does on its own account because of this request.
    pub(crate) fn behind(&self) -> Self {
        Self { parent_id: self.span_id, span_id: child(self, Part::Behind), ..*self }
    }
}

/// The field for the next hop: the span of this attempt is its parent.
pub(crate) fn traceparent(trace: &TraceContext, attempt: usize) -> String {
    let mut out = String::with_capacity(55);
    for part in [&[0][..], &trace.trace_id, &child(trace, Part::Attempt(attempt)), &[trace.flags]] {
        if !out.is_empty() {
            out.push('-');
        }
        push_hex(&mut out, part);
    }
    out
}

fn parse(text: &str) -> Option<([u8; 16], [u8; 8], u8)> {
    let text = text.trim_matches([' ', '\t']);
    let mut parts = text.splitn(5, '-');
    let [version] = bytes(parts.next()?)?;
    let trace_id: [u8; 16] = bytes(parts.next()?)?;
    let parent_id: [u8; 8] = bytes(parts.next()?)?;
    let [flags] = bytes(parts.next()?)?;
    // Only versions that are not known yet may say more (§4.3).
    let valid = version != 0xff && (version != 0 || parts.next().is_none());
    let nonzero = trace_id != [0; 16] && parent_id != [0; 8];
    (valid && nonzero).then_some((trace_id, parent_id, flags & SAMPLED))
}

/// Exactly so many bytes of lower-case hex.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != N * 2 || !text.bytes().all(lower) {
        return None;
    }
    let mut out = [0; N];
    let mut digits =
        text.chars().filter_map(|char| char.to_digit(16)).filter_map(|value| u8::try_from(value).ok());
    for byte in &mut out {
        *byte = digits.next()? << 4 | digits.next()?;
    }
    Some(out)
}

/// An all-zero id is invalid (§3.2.2.3), whatever the dice say.
fn nonzero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

/// The caller's `tracestate`, joined, where it is well-formed (§3.3.1); one bad member spoils all.
pub(crate) fn tracestate(headers: &HeaderMap) -> Option<String> {
    let mut members: Vec<&str> = Vec::new();
    for line in headers.get_all(names::TRACESTATE) {
        for member in line.to_str().ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let twice =
                members.iter().any(|other| other.split_once('=').is_some_and(|(have, _)| have == key));
            if twice || members.len() == MAX_MEMBERS || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push(member);
        }
    }
    (!members.is_empty()).then(|| members.join(","))
}

fn is_key(key: &str) -> bool {
    let part = |text: &str, max: usize, digit_first: bool| {
        let first = |byte: u8| byte.is_ascii_lowercase() || (digit_first && byte.is_ascii_digit());
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
        text.len() <= max && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, true),
    }
}

fn is_value(value: &str) -> bool {
    let char = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && !value.ends_with(' ') && value.bytes().all(char)
}

/// How often `name` stands as a received-by pseudonym in `Via` (RFC 9110 §7.6.3).
pub(crate) fn passages(headers: &HeaderMap, name: &str) -> usize {
    let ours = |member: &&str| {
        let mut words = member.split([' ', '\t']).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|by| by.split('(').next().unwrap_or_default().eq_ignore_ascii_case(name))
    };
    list::members(headers, &http::header::VIA).filter(ours).count()
}

const SAMPLED: u8 = 1;
const MAX_MEMBERS: usize = 32;
