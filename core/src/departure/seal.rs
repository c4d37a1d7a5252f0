//! What becomes of the origin's response head, or of its absence.

use core::mem;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{dress, dress::set};
use crate::{
    http::{hop, names},
    origins::OriginId,
    refusal::{ErrorCode, Refusal},
    verdict::{Closing, Forward, OriginFailure, Reply, ResponseDraft, ResponseHead, Seal},
};

impl Forward {
    /// The origin's head has come, from `attempts[attempt]`; `sent_ms` and `received_ms` are unix ms.
    pub fn seal(self, attempt: usize, head: ResponseHead, sent_ms: u64, received_ms: u64) -> Seal {
        let Self { gateway, mut flow, attempts, idle_timeout_ms, upgrade, .. } = self;
        let origin = attempts.get(attempt).map_or(OriginId(0), |attempt| attempt.origin);
        let ResponseHead { status, headers } = head;
        let head = ResponseHead { status, headers: clean(headers) };
        let mut draft = ResponseDraft { head, replace: None, sent_ms, received_ms, origin };
        let switched = draft.head.status == StatusCode::SWITCHING_PROTOCOLS;
        for hook in mem::take(&mut flow.on_seal) {
            hook(&mut flow, &mut draft);
        }
        let ResponseDraft { mut head, mut replace, .. } = draft;
        let mut refused = None;
        if switched && upgrade {
            hop::upgrade(&mut head.headers);
        } else if switched {
            // Nobody asked for it, so what would follow is not HTTP that anybody understands.
            let refusal = failure_refusal(OriginFailure::Broken, &gateway.departure.name);
            refused = Some(refusal.reason);
            let answer = refusal.render(&flow.request.id, flow.request.wants_problem);
            (head, replace) =
                (ResponseHead { status: answer.status, headers: answer.headers }, Some(answer.body));
        }
        if let Some(body) = &replace {
            let bodiless = head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED;
            head.headers.remove(header::CONTENT_LENGTH);
            if !bodiless {
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            }
        }
        head.headers.append(header::VIA, gateway.departure.via.clone());
        dress(&gateway.departure, &flow, refused.is_some(), &mut head.headers);
        Seal {
            capture_response: flow.outgoing.capture_response,
            hold_until_written: flow.outgoing.hold_until_written,
            idle_timeout_ms,
            closing: Closing { status: head.status, refused, flow },
            head,
            replace,
        }
    }

    /// No origin answered: a stale answer where a plugin has one, else an error that says so (RFC 9209).
    pub fn fail(self, failure: OriginFailure) -> Reply {
        let Self { gateway, mut flow, .. } = self;
        for hook in mem::take(&mut flow.on_fail) {
            if let Some(answer) = hook(&mut flow, &failure) {
                return gateway.conclude(flow, answer, None);
            }
        }
        gateway.refused(flow, failure_refusal(failure, &gateway.departure.name))
    }
}

/// Removes what belongs to the origin's connection, and what only the gateway says to clients: its own fields, and
/// CORS (the backend echoes any origin).
fn clean(headers: HeaderMap) -> HeaderMap {
    hop::into_end_to_end(headers, OWN_FIELDS, |name| {
        let text = name.as_str();
        let ours = text.starts_with("access-control-")
            || text.starts_with("x-gateway-")
            || *name == names::X_REQUEST_ID
            || LIMITS.contains(name);
        !ours
    })
}

fn failure_refusal(failure: OriginFailure, name: &str) -> Refusal {
    use OriginFailure as Failure;
    let (code, reason, message) = match failure {
        Failure::Unreachable => {
            (ErrorCode::BadGateway, "origin_unreachable", "no connection to the origin could be made")
        }
        Failure::Denied => (
            ErrorCode::BadGateway,
            "origin_denied",
            "this platform forbids connections to the origin; add it to `allowed_outbound_hosts`",
        ),
        Failure::Broken => {
            (ErrorCode::BadGateway, "origin_broken", "the origin's connection broke before it answered")
        }
        Failure::Timeout => {
            (ErrorCode::GatewayTimeout, "origin_timeout", "the origin did not answer in time")
        }
        Failure::BodyTooLarge => (
            ErrorCode::PayloadTooLarge,
            "body_size",
            "the request body is larger than `MAX_BODY_BYTES` allows",
        ),
        Failure::ClientBody => {
            (ErrorCode::BadRequest, "client_body", "the request body broke off or is malformed")
        }
    };
    // RFC 9209 §2.3; the client's own faults are not the proxy's to explain.
    let error = match failure {
        Failure::Unreachable => Some("connection_refused"),
        Failure::Denied => Some("destination_ip_prohibited"),
        Failure::Broken => Some("connection_terminated"),
        Failure::Timeout => Some("http_response_timeout"),
        Failure::BodyTooLarge | Failure::ClientBody => None,
    };
    let mut refusal = Refusal::new(code, reason, message);
    match error {
        Some(error) => {
            set(&mut refusal.headers, names::PROXY_STATUS, &alloc::format!("{name}; error={error}"));
        }
        None => refusal.close = true,
    }
    refusal
}

/// An origin's own limits would contradict the gateway's.
static LIMITS: [HeaderName; 5] = [
    names::RATELIMIT,
    names::RATELIMIT_POLICY,
    names::X_RATELIMIT_LIMIT,
    names::X_RATELIMIT_REMAINING,
    names::X_RATELIMIT_RESET,
];

/// Room for the fields that an answer is dressed with.
const OWN_FIELDS: usize = 12;
