//! Variables of the OpenTelemetry specification that say in another way, or for traces alone, what a knob of `settings.rs`
//! says. They set the same places of the document; the file has no key for them.

use serde_json::Value;

use super::{
    kind::Form::*,
    kind::Kind,
    kind::Kind::*,
    knob::{Flaw, Knob},
    model::{Document, OtlpProtocol},
    settings::{EXPORT_MS, Setting, Words},
};

/// Read after all others, since names for traces alone count before those for everything.
pub(super) const STANDARD_NAMES: &[Setting] = &[
    standard("OTEL_EXPORTER_ZIPKIN_ENDPOINT", Text(HttpUrl), |document, parts, kind| {
        document.otel.zipkin_endpoint = Knob::read(parts, kind)?;
        Ok(())
    }),
    Setting {
        secret: true,
        ..standard("OTEL_EXPORTER_OTLP_TRACES_HEADERS", List(HeaderPair), |document, parts, kind| {
            document.otel.otlp_headers = Knob::read(parts, kind)?;
            Ok(())
        })
    },
    standard("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", OneOf(OtlpProtocol::NAMES), |document, parts, kind| {
        document.otel.otlp_protocol = Knob::read(parts, kind)?;
        Ok(())
    }),
    standard("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", EXPORT_MS, |document, parts, kind| {
        document.otel.otlp_timeout_ms = Knob::read(parts, kind)?;
        Ok(())
    }),
    standard("OTEL_BSP_EXPORT_TIMEOUT", EXPORT_MS, |document, parts, kind| {
        document.otel.otlp_timeout_ms = document.otel.otlp_timeout_ms.min(Knob::read(parts, kind)?);
        Ok(())
    }),
    standard("OTEL_TRACES_EXPORTER", OneOf(EXPORTERS), |document, parts, kind| {
        let names = parts.first().copied().unwrap_or_default().to_ascii_lowercase();
        if !EXPORTERS.contains(&names.as_str()) {
            return Err(Flaw::new(kind.accepts()));
        }
        let otel = &mut document.otel;
        if !names.contains("otlp") {
            (otel.otlp_endpoint, otel.otlp_traces_endpoint) = (None, None);
        }
        if !names.contains("zipkin") {
            otel.zipkin_endpoint = None;
        }
        otel.enabled &= names != "none";
        Ok(())
    }),
];

/// What the documentation says of them, in the same order.
pub(super) const WORDS_STANDARD_NAMES: &[Words] = &[
    words("The standard's name for `OTEL_ZIPKIN_ENDPOINT`."),
    words("In place of `OTEL_EXPORTER_OTLP_HEADERS`."),
    words("In place of `OTEL_EXPORTER_OTLP_PROTOCOL`."),
    words("In place of `OTEL_EXPORTER_OTLP_TIMEOUT`."),
    words("Another bound for one export in milliseconds; the smaller one counts."),
    words("Which of the collectors that are named get spans; unset: all of them."),
];

const fn words(doc: &'static str) -> Words {
    Words { doc, why: "Deployments set it for all that they run." }
}

const EXPORTERS: &[&str] = &["otlp", "zipkin", "otlp,zipkin", "none"];

/// A name that is read from the environment alone.
const fn standard(
    env: &'static str,
    kind: Kind,
    set: fn(&mut Document, &[&str], Kind) -> Result<(), Flaw>,
) -> Setting {
    Setting { env, key: "", kind, secret: false, set, show: |_| Value::Null }
}
