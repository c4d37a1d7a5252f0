//! What one store value holds, and its bytes. Whoever can write to the store can write anything, so reading
//! trusts nothing: it never panics, and never allocates more than the input is long.
//!
//! The value is UTF-8, as not every transport carries other bytes cheaply: the digit of the version, then up to four variants. Each is a letter,
//! the lengths of its two parts (8 hexadecimal digits each), the head in base64, and the body: as it is (`t`), or in
//! base64 (`b`) where it is no text.
//!
//! A head is, big-endian: `received`, `initial_age`, `fresh`, `while_revalidate`, `if_error` (`u64` ms each), `stamp` (`u64`), flags `u8`,
//! names varied on (count `u8`, each with length `u8`), digest (32), status `u16`, and field lines (count `u16`; name with
//! `u8`, value with `u32` length).

use alloc::{string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut, Bytes};
use core::fmt::Write as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{freshness::Life, vary::Selector};

/// One stored answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    /// What was purged when the origin was asked ([`super::purge`]).
    pub(super) stamp: u64,
    pub(super) life: Life,
    pub(super) selector: Selector,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// All answers under one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) variants: Vec<Variant>,
}

impl Variant {
    /// Whether the origin can be asked if it still holds (RFC 9110 §8.8).
    pub(super) fn has_validator(&self) -> bool {
        self.status == StatusCode::OK
            && (self.headers.contains_key(header::ETAG) || self.headers.contains_key(header::LAST_MODIFIED))
    }

    /// When it is of no more use, unix ms.
    pub(super) fn over_ms(&self) -> u64 {
        self.life.over_ms(self.has_validator())
    }
}

impl Entry {
    /// Reads a store value; anything strange is nothing.
    pub(super) fn decode(mut input: Bytes) -> Option<Self> {
        if take(&mut input, 1)?.first() != Some(&VERSION) {
            return None;
        }
        let mut variants = Vec::new();
        while !input.is_empty() {
            if variants.len() == MAX_VARIANTS {
                return None;
            }
            variants.push(variant(&mut input)?);
        }
        Some(Self { variants })
    }

    /// Writes a store value; none if a part does not fit into the format.
    pub(super) fn encode(&self) -> Option<Bytes> {
        let bodies: usize = self.variants.iter().map(|variant| variant.body.len()).sum();
        let mut out = String::with_capacity(bodies.saturating_add(1024));
        out.push(char::from(VERSION));
        for variant in self.variants.iter().take(MAX_VARIANTS) {
            let head = STANDARD_NO_PAD.encode(head(variant)?);
            let encoded;
            let (kind, body) = match core::str::from_utf8(&variant.body) {
                Ok(text) => (TEXT, text),
                Err(_) => {
                    encoded = STANDARD_NO_PAD.encode(&variant.body);
                    (BINARY, encoded.as_str())
                }
            };
            let lengths = (u32::try_from(head.len()).ok()?, u32::try_from(body.len()).ok()?);
            write!(out, "{}{:08x}{:08x}", char::from(kind), lengths.0, lengths.1).ok()?;
            out.push_str(&head);
            out.push_str(body);
        }
        Some(out.into())
    }

    /// Takes out the answer for this request, the newest if several fit (RFC 9111 §4.1).
    pub(super) fn take(&mut self, key: &str, request: &HeaderMap) -> Option<Variant> {
        let fitting = self.variants.iter().enumerate().filter(|(_, it)| it.selector.fits(key, request));
        let (place, _) = fitting.max_by_key(|(_, it)| it.life.received_ms)?;
        Some(self.variants.remove(place))
    }

    /// Puts an answer in the place of the one for the same requests; past four, the oldest goes.
    pub(super) fn put(&mut self, variant: Variant, now_ms: u64) {
        self.variants.retain(|other| other.selector != variant.selector && other.over_ms() > now_ms);
        while self.variants.len() >= MAX_VARIANTS {
            let oldest = self.variants.iter().enumerate().min_by_key(|(_, other)| other.life.received_ms);
            let Some((place, _)) = oldest else { break };
            self.variants.remove(place);
        }
        self.variants.push(variant);
    }

    /// When all of it is of no more use, unix ms.
    pub(super) fn over_ms(&self) -> u64 {
        self.variants.iter().map(Variant::over_ms).max().unwrap_or(0)
    }
}

fn head(variant: &Variant) -> Option<Vec<u8>> {
    let Variant { stamp, life, selector, status, headers, .. } = variant;
    let mut out = Vec::new();
    for number in
        [life.received_ms, life.initial_age_ms, life.fresh_ms, life.while_revalidate_ms, life.if_error_ms]
    {
        out.put_u64(number);
    }
    out.put_u64(*stamp);
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.put_u8(flag(life.strict, STRICT) | flag(life.validate, VALIDATE));
    out.put_u8(u8::try_from(selector.names.len()).ok()?);
    for name in &selector.names {
        put_name(&mut out, name)?;
    }
    out.put_slice(&selector.digest);
    out.put_u16(status.as_u16());
    out.put_u16(u16::try_from(headers.len()).ok()?);
    for (name, value) in headers {
        put_name(&mut out, name)?;
        out.put_u32(u32::try_from(value.len()).ok()?);
        out.put_slice(value.as_bytes());
    }
    Some(out)
}

fn put_name(out: &mut Vec<u8>, name: &HeaderName) -> Option<()> {
    out.put_u8(u8::try_from(name.as_str().len()).ok()?);
    out.put_slice(name.as_str().as_bytes());
    Some(())
}

/// Takes the next variant from the front.
fn variant(input: &mut Bytes) -> Option<Variant> {
    let [kind] = array(input)?;
    let (head, body) = (length(input)?, length(input)?);
    let head = Bytes::from(STANDARD_NO_PAD.decode(take(input, head)?).ok()?);
    let body = take(input, body)?;
    let body = match kind {
        TEXT => body,
        BINARY => STANDARD_NO_PAD.decode(body).ok()?.into(),
        _ => return None,
    };
    read_head(head, body)
}

fn read_head(mut input: Bytes, body: Bytes) -> Option<Variant> {
    let mut number = || array(&mut input).map(u64::from_be_bytes);
    let mut life = Life {
        received_ms: number()?,
        initial_age_ms: number()?,
        fresh_ms: number()?,
        while_revalidate_ms: number()?,
        if_error_ms: number()?,
        ..Life::default()
    };
    let stamp = array(&mut input).map(u64::from_be_bytes)?;
    let [flags] = array(&mut input)?;
    life.strict = flags & STRICT != 0;
    life.validate = flags & VALIDATE != 0;
    let [count] = array(&mut input)?;
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(name(&mut input)?);
    }
    let selector = Selector { names, digest: array(&mut input)? };
    let status = StatusCode::from_u16(u16::from_be_bytes(array(&mut input)?)).ok()?;
    let mut headers = HeaderMap::new();
    for _ in 0..u16::from_be_bytes(array(&mut input)?) {
        let name = name(&mut input)?;
        let length = u32::from_be_bytes(array(&mut input)?);
        let value = take(&mut input, usize::try_from(length).ok()?)?;
        headers.try_append(name, HeaderValue::from_bytes(&value).ok()?).ok()?;
    }
    Some(Variant { stamp, life, selector, status, headers, body })
}

fn length(input: &mut Bytes) -> Option<usize> {
    let digits: [u8; 8] = array(input)?;
    usize::from_str_radix(core::str::from_utf8(&digits).ok()?, 16).ok()
}

fn name(input: &mut Bytes) -> Option<HeaderName> {
    let [length] = array(input)?;
    HeaderName::from_bytes(&take(input, usize::from(length))?).ok()
}

fn array<const N: usize>(input: &mut Bytes) -> Option<[u8; N]> {
    take(input, N)?.first_chunk().copied()
}

/// `split_to` panics past the end, so the length is looked at first.
fn take(input: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= input.len()).then(|| input.split_to(length))
}

const VERSION: u8 = b'3';
const TEXT: u8 = b't';
const BINARY: u8 = b'b';
const STRICT: u8 = 1;
const VALIDATE: u8 = 2;
/// As many as one value may hold: four times `CACHE_MAX_BODY_BYTES` bounds it, and a third more where bodies are no text.
pub(super) const MAX_VARIANTS: usize = 4;
