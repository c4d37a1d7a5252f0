//! What is said to those who may not pass, and how often one address may be told so.

use alloc::format;
use http::{HeaderValue, header};

use super::{Rules, reject};
use crate::{
    config::Algorithm,
    flow::Flow,
    hex::hex,
    plugin::Source,
    refusal::{ErrorCode, Refusal},
    store::{Ask, Guard, LimitSpec, Op, Slot, Spend},
};

impl Rules {
    /// Counts a failed credential against the client's address, where the guard says that it is one; a cost of 0 only looks
    /// how many there were.
    pub(super) fn spend_failure(&self, flow: &Flow, ask: &mut Ask, guard: Guard, cost: u32) -> Slot<Spend> {
        ask.spend(self.failures(flow, cost), guard, member(flow), false)
    }

    /// The same for one that turned out to have failed when the request was decided already.
    pub(super) fn count_failure(&self, flow: &mut Flow) {
        let (limit, member) = (self.failures(flow, 1), member(flow));
        flow.writes.push(Op::Spend { limit, guard: Guard::Always, member, together: false });
    }

    fn failures(&self, flow: &Flow, cost: u32) -> LimitSpec {
        LimitSpec {
            key: self.keys.by_address(flow.request.client, "auth-failures"),
            algorithm: Algorithm::SlidingWindow,
            limit: self.failures_per_minute,
            window_ms: 60_000,
            cost,
        }
    }

    /// No credential on a closed route.
    pub(super) fn missing(&self, flow: &mut Flow) -> Refusal {
        let message =
            "this route wants a credential; send `X-API-Key`, `X-Worker-Token` or `Authorization: Bearer`";
        let refusal = Refusal::new(ErrorCode::Unauthorized, "missing", message);
        reject(flow, self.challenge(refusal, ""))
    }

    /// A credential that is not valid; 429 once this address has failed too often.
    pub(super) fn invalid(&self, flow: &mut Flow, reason: &'static str, failure: Option<&Spend>) -> Refusal {
        if let Some(failure) = failure.filter(|failure| !failure.admitted) {
            let message = "too many failed credentials from this address; wait before the next one";
            let refusal = Refusal::new(ErrorCode::RateLimitExceeded, "limited", message);
            return reject(flow, refusal.retry_after_ms(failure.retry_after_ms));
        }
        let refusal = Refusal::new(ErrorCode::Unauthorized, reason, "the credential is not valid");
        reject(flow, self.challenge(refusal, ", error=\"invalid_token\""))
    }

    /// RFC 6750 §3.
    fn challenge(&self, refusal: Refusal, error: &str) -> Refusal {
        let value = format!("Bearer realm=\"{}\"{error}", self.realm);
        let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("Bearer"));
        refusal.header(header::WWW_AUTHENTICATE, value)
    }
}

/// A valid credential, or none that would help.
pub(super) fn forbidden(flow: &mut Flow, reason: &'static str, message: &'static str) -> Refusal {
    reject(flow, Refusal::new(ErrorCode::Forbidden, reason, message))
}

/// The store is down, so nobody can say whether the credential is valid.
pub(super) fn unproven(flow: &mut Flow) -> Refusal {
    let message = "the credential cannot be checked while the store is down; try again";
    let refusal = Refusal::new(ErrorCode::StoreUnavailable, "store_down", message);
    reject(flow, refusal.retry_after_ms(STORE_RETRY_MS))
}

/// Whether a row can prove or disprove a credential.
pub(super) fn proves(source: Source) -> bool {
    source == Source::Store
}

/// The name of this request's admissions: fresh chance, because a client chooses its own `X-Request-ID`.
pub(super) fn member(flow: &Flow) -> alloc::string::String {
    hex(&flow.request.facts.entropy.request)
}

/// A store that restarts is back within seconds.
const STORE_RETRY_MS: u64 = 1_000;
