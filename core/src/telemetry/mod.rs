//! Observers: folds over what every request leaves behind ([`crate::Epilogue`]). They change no decision.

pub mod access;
pub mod export;
mod exposition;
pub(crate) mod fleet;
mod gathered;
mod histogram;
mod http;
pub mod metrics;
pub mod notice;
mod otlp;
pub mod span;
mod zipkin;

pub use exposition::Gauges;
pub use fleet::Owed;
pub use gathered::Gathered;
pub use http::Attempts;
