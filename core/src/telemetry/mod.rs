//! Observers: folds over what every request leaves behind ([`crate::Epilogue`]). They change no decision.

pub mod access;
mod exposition;
pub(crate) mod fleet;
mod histogram;
pub mod metrics;
pub mod notice;

pub use exposition::Gauges;
