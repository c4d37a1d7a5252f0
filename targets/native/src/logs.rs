//! Operational records on standard error: JSON, or lines for people on a terminal.

use std::io::IsTerminal;

use acip_core::config::{Log, LogFormat, LogLevel};
use tracing::Level;
use tracing_subscriber::fmt;

/// Sets the process's log up; further calls do nothing.
pub fn init(log: &Log) {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Some(LogFormat::Json) => false,
        Some(LogFormat::Pretty) => true,
        None => terminal,
    };
    let builder = fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let _ = if pretty {
        builder.with_ansi(terminal).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}
