//! `[otel]`: which requests are traced, and where spans go. The names are those of the OpenTelemetry specification
//! (SDK environment variables, OTLP exporter); the table of knobs is in `settings.rs`.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::Value;

use super::{
    form,
    kind::Kind,
    knob::{Flaw, Knob},
    secret::Secret,
};

/// `[otel]`.
#[derive(Clone, Debug)]
pub struct Otel {
    /// `OTEL_ENABLED`.
    pub enabled: bool,
    /// `OTEL_SDK_DISABLED`: wins over `enabled`.
    pub sdk_disabled: bool,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: String,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource_attributes: Vec<ResourceAttribute>,
    /// `OTEL_TRACES_SAMPLER`.
    pub sampler: Sampler,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler_arg: Ratio,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: base URL.
    pub otlp_endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: whole URL.
    pub otlp_traces_endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub otlp_headers: Vec<ExportHeader>,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub otlp_protocol: OtlpProtocol,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`: ms for one export.
    pub otlp_timeout_ms: u32,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`: spans.
    pub max_queue: u32,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: spans.
    pub max_batch: u32,
    /// `OTEL_BSP_SCHEDULE_DELAY`: ms.
    pub schedule_delay_ms: u32,
    /// `OTEL_ZIPKIN_ENDPOINT`.
    pub zipkin_endpoint: Option<String>,
}

impl Otel {
    /// Whether spans are made at all: switched on, and with somewhere to go.
    pub fn is_on(&self) -> bool {
        let somewhere = self.otlp_traces_url().is_some() || self.zipkin_endpoint.is_some();
        self.enabled && !self.sdk_disabled && somewhere
    }

    /// What the operator is to read where traces are switched on and go nowhere.
    pub fn warning(&self) -> Option<&'static str> {
        (self.enabled && !self.sdk_disabled && !self.is_on()).then_some(NOWHERE)
    }

    /// Where OTLP/HTTP traces go: the URL for traces as it is, or the base URL with the protocol's path.
    pub fn otlp_traces_url(&self) -> Option<String> {
        let base = || Some(format!("{}/v1/traces", self.otlp_endpoint.as_ref()?.trim_end_matches('/')));
        self.otlp_traces_endpoint.clone().or_else(base)
    }
}

/// Which traces are recorded. Those that begin with `ParentBased` follow the caller where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share of all, by trace id.
    Ratio,
    /// As the caller; all that begin here.
    #[default]
    ParentBasedAlwaysOn,
    /// As the caller; none that begins here.
    ParentBasedAlwaysOff,
    /// As the caller; a share of those that begin here.
    ParentBasedRatio,
}

/// How spans are written for OTLP/HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// JSON.
    #[default]
    Json,
    /// Protocol buffers.
    Protobuf,
}

/// A share, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

impl Ratio {
    /// Everything.
    pub const ALL: Self = Self(BILLION);

    /// Parses a decimal from 0 to 1; places past the ninth do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
            return None;
        }
        let whole: u32 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part: String = part.chars().chain("000000000".chars()).take(9).collect();
        let share = whole.checked_mul(BILLION)?.checked_add(part.parse().ok()?)?;
        (share <= BILLION).then_some(Self(share))
    }

    /// Whether evenly spread `bits` fall within the share.
    pub fn admits(self, bits: u64) -> bool {
        // The product of 64 and 30 bits; what is compared is `bits / 2^64 < share / 10^9`.
        u128::from(bits) * u128::from(BILLION) < u128::from(self.0) << 64
    }
}

impl Knob for Ratio {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let text = parts.first().copied().unwrap_or_default();
        Self::parse(text).ok_or_else(|| Flaw::new(kind.accepts()))
    }

    fn show(&self) -> Value {
        match self.0 {
            BILLION => Value::from(1),
            0 => Value::from(0),
            share => Value::from(f64::from(share) / f64::from(BILLION)),
        }
    }
}

/// A field that goes with every export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportHeader {
    /// Its name, lower case.
    pub name: String,
    /// Its value, decoded.
    pub value: Secret,
}

impl Knob for Vec<ExportHeader> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let header = |(part, text): (usize, &&str)| {
            let flaw = || Flaw { part, wanted: kind.accepts() };
            let (name, value) = pair(text).ok_or_else(flaw)?;
            let sendable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if !form::token(&name) || !sendable {
                return Err(flaw());
            }
            Ok(ExportHeader { name: name.to_ascii_lowercase(), value: Secret::new(value) })
        };
        parts.iter().enumerate().map(header).collect()
    }

    /// Names only, as nothing else may show them.
    fn show(&self) -> Value {
        self.iter().map(|header| Value::String(header.name.clone())).collect()
    }
}

/// A fact about the process that made the spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceAttribute {
    /// Its name.
    pub key: String,
    /// Its value, decoded.
    pub value: String,
}

impl Knob for Vec<ResourceAttribute> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let attribute = |(part, text): (usize, &&str)| {
            let (key, value) = pair(text).ok_or_else(|| Flaw { part, wanted: kind.accepts() })?;
            Ok(ResourceAttribute { key, value })
        };
        parts.iter().enumerate().map(attribute).collect()
    }

    fn show(&self) -> Value {
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
                .replace("%2E", ".")
                .replace("%2D", "-")
                .replace("%5F", "_")
        };
        self.iter().map(|it| Value::String(format!("{}={}", it.key, escape(&it.value)))).collect()
    }
}

/// `name=value` as in W3C Baggage §3.3.1: the value percent-encoded.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
    let name_ok = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    (name_ok && !value.chars().any(char::is_control)).then(|| (name.to_owned(), value.into_owned()))
}

const NOWHERE: &str = "no traces are exported: `OTEL_ENABLED` is true and no collector is named; \
                       set `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_ZIPKIN_ENDPOINT`";

const BILLION: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_decimal_from_0_to_1() {
        let check = |text: &str, expected: Option<u32>| {
            assert_eq!(Ratio::parse(text).map(|ratio| ratio.0), expected, "{text}");
        };
        check("0", Some(0));
        check("1", Some(BILLION));
        check("1.0", Some(BILLION));
        check("0.01", Some(10_000_000));
        check(".5", Some(500_000_000));
        check("0.1234567899", Some(123_456_789));
        for bad in ["", ".", "-0.1", "1.1", "1e-3", "0,5", " 0.5", "+1", "0.5x", "99999999999"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_ratio_admits_its_share() {
        let check = |text: &str, bits: u64, expected: bool| {
            assert_eq!(Ratio::parse(text).unwrap().admits(bits), expected, "{text} {bits:x}");
        };
        check("0", 0, false);
        check("1", u64::MAX, true);
        check("0.5", u64::MAX / 2, true);
        check("0.5", u64::MAX / 2 + 1, false);
        check("0.000000001", 0, true);
        check("0.000000001", u64::MAX / 1_000_000, false);
    }

    #[test]
    fn pairs_are_decoded() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            assert_eq!(
                pair(text),
                expected.map(|(name, value)| (name.to_owned(), value.to_owned())),
                "{text}"
            );
        };
        check("api-key=a%20b%3D", Some(("api-key", "a b=")));
        check(" a = b ", Some(("a", "b")));
        check("a=", Some(("a", "")));
        check("a", None);
        check("=b", None);
        check("a=%0a", None);
        check("a=%ff", None);
    }
}
