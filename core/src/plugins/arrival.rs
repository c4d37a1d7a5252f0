//! The first end of the pipeline: a head becomes a [`Request`], or a refusal.

use crate::{
    config::Document,
    facts::Facts,
    gateway::CompileError,
    refusal::Refusal,
    request::{Request, RequestHead},
};

/// Compiled for a document.
#[derive(Clone, Debug)]
pub struct Arrival {}

impl Arrival {
    /// Compiles routes, proxies, names.
    ///
    /// # Errors
    /// A route pattern that does not compile.
    pub fn compile(_document: &Document) -> Result<Self, CompileError> {
        Ok(Self {})
    }

    /// Reads a head. A request is always made, so that a refusal has an id, a route label and a trace.
    pub fn read(&self, _head: RequestHead, _facts: Facts) -> (Request, Option<Refusal>) {
        unimplemented!()
    }
}
