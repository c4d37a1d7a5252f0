//! What the gateway says of itself, as one line of JSON: for builds whose platform takes lines and nothing else. The native
//! server has a log library of its own, with the same fields.

use alloc::string::String;
use serde::Serialize;

use crate::{config::LogLevel, keys::iso8601};

/// One JSON object, without a line end. `message` and `detail` never hold a secret.
pub fn json_line(now_ms: u64, level: LogLevel, message: &str, detail: Option<&str>) -> String {
    let line = Line { timestamp: iso8601(now_ms), level: name(level), message, detail };
    // INVARIANT: texts under fixed names always serialize.
    serde_json::to_string(&line).unwrap_or_default()
}

#[derive(Serialize)]
struct Line<'n> {
    timestamp: Option<String>,
    level: &'static str,
    message: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'n str>,
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => "WARN",
        LogLevel::Info => "INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        let check = |detail, expected: &str| {
            assert_eq!(json_line(1_000, LogLevel::Warn, "a \"word\"\n", detail), expected);
        };
        check(None, r#"{"timestamp":"1970-01-01T00:00:01Z","level":"WARN","message":"a \"word\"\n"}"#);
        check(
            Some("why"),
            r#"{"timestamp":"1970-01-01T00:00:01Z","level":"WARN","message":"a \"word\"\n","detail":"why"}"#,
        );
    }
}
