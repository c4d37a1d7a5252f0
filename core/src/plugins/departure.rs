//! The other end of the pipeline: what goes to the origin and what goes to the client.

use alloc::{boxed::Box, sync::Arc};
use http::{HeaderMap, StatusCode};

use crate::{
    config::Document,
    flow::Flow,
    gateway::Gateway,
    verdict::{Forward, OriginFailure, Reply, ResponseHead, Seal, Verdict},
};

/// Sets the fields that every answer carries.
pub(crate) fn dress(_document: &Document, _flow: &Flow, _status: StatusCode, _headers: &mut HeaderMap) {
    unimplemented!()
}

/// Makes the request to the origin.
pub(crate) fn forward(_gateway: &Arc<Gateway>, _flow: Box<Flow>) -> Verdict {
    unimplemented!()
}

impl Forward {
    /// Signs a body that was held whole: sets `X-Signature` and `X-Timestamp`. Not called for a body that was too
    /// long: then [`Forward::skip_signature`].
    pub fn sign(&mut self, _body: &[u8]) {
        unimplemented!()
    }

    /// Sets `X-Signature-Skipped`.
    pub fn skip_signature(&mut self) {
        unimplemented!()
    }

    /// The origin's head has come; `sent_ms` and `received_ms` are unix ms.
    pub fn seal(self, _attempt: usize, _head: ResponseHead, _sent_ms: u64, _received_ms: u64) -> Seal {
        unimplemented!()
    }

    /// No origin answered.
    pub fn fail(self, _failure: OriginFailure, _now_ms: u64) -> Reply {
        unimplemented!()
    }
}
