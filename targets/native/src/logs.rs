//! Operational records on standard error: JSON, or lines for people on a terminal.

use std::{
    io::IsTerminal,
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use acip_core::config::{Log, LogFormat, LogLevel};
use tracing_subscriber::{
    filter::LevelFilter, fmt, layer::SubscriberExt as _, registry::Registry, reload,
    util::SubscriberInitExt as _,
};

/// Sets the process's log up; further calls do nothing.
pub fn init(log: &Log) {
    let terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Some(LogFormat::Json) => false,
        Some(LogFormat::Pretty) => true,
        None => terminal,
    };
    let (level, handle) = reload::Layer::new(filter(log.level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    let begun = if pretty {
        registry.with(lines.with_ansi(terminal)).try_init()
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        registry.with(lines).try_init()
    };
    if begun.is_ok() {
        IN_FORCE.store(log.level as u8, Relaxed);
        let _ = HANDLE.set(handle);
    }
}

/// Writes records of this level from now on.
pub fn follow(level: LogLevel) {
    if IN_FORCE.load(Relaxed) == level as u8 {
        return;
    }
    if let Some(handle) = HANDLE.get()
        && IN_FORCE.swap(level as u8, Relaxed) != level as u8
        && handle.reload(filter(level)).is_ok()
    {
        tracing::info!(level = level.name(), "the log's level changed");
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

static HANDLE: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();
static IN_FORCE: AtomicU8 = AtomicU8::new(0);
