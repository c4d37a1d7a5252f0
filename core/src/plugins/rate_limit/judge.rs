//! What the counted limits mean for the request.

use alloc::vec::Vec;
use serde_json::json;

use super::Asked;
use crate::{
    config::OnStoreError,
    event::Event,
    flow::{Flow, NamedSpend},
    plugin::{Answers, Ruling, Source},
    refusal::{ErrorCode, Refusal},
};

/// Notes every limit that applied, and refuses where one does not admit the request.
pub(super) fn judge(flow: &mut Flow, answers: &Answers<'_>, asked: Vec<Asked>) -> Ruling {
    for Asked { name, slot, on_store_error } in asked {
        match (answers.source, on_store_error) {
            (Source::Store, _) => {}
            (_, OnStoreError::Allow) => continue,
            // With nothing to count in, `local` has nobody who stands in: limits are not lifted silently.
            (Source::Fallback, OnStoreError::Deny) | (Source::Down, _) => {
                return Ruling::Refuse(uncounted());
            }
            (Source::Fallback, OnStoreError::Local) => {}
        }
        // None: its guard did not hold, so it is not this request's.
        let Some(spend) = answers.cells.spend(slot) else { continue };
        let name = match spend.name.as_str() {
            "" => name.into_owned(),
            carried => carried.into(),
        };
        flow.spends.push(NamedSpend { name, spend });
    }
    let refused = flow.spends.iter().filter(|named| !named.spend.admitted);
    let Some(NamedSpend { name, spend }) = refused.max_by_key(|named| named.spend.retry_after_ms) else {
        if !flow.spends.is_empty() {
            flow.events.push(Event::LimitAllowed);
        }
        return Ruling::Pass;
    };
    let message = "too many requests; wait as long as `Retry-After` says";
    let mut refusal = Refusal::new(ErrorCode::RateLimitExceeded, "rate_limit", message);
    refusal.details = Some(json!({
        "limit": spend.limit,
        "remaining": spend.remaining,
        "reset": spend.reset_ms.div_ceil(1000),
    }));
    let (refusal, limit) = (refusal.retry_after_ms(spend.retry_after_ms), name.clone());
    flow.events.push(Event::LimitExceeded { limit });
    Ruling::Refuse(refusal)
}

fn uncounted() -> Refusal {
    let message = "requests cannot be counted while the store is down; try again";
    Refusal::new(ErrorCode::StoreUnavailable, "store_down", message).retry_after_ms(STORE_RETRY_MS)
}

/// A store that restarts is back within seconds.
const STORE_RETRY_MS: u64 = 1_000;
