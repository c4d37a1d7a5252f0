//! `GET /gateway/events`: what the listener wants is read here; the stream is the shell's, where it has one.

use http::HeaderName;

use crate::{
    event::{Listening, Wanted},
    flow::Flow,
    plugin::Plan,
    refusal::{ErrorCode, Refusal},
    report::Page,
};

pub(super) fn plan(flow: &mut Flow) -> Plan {
    let head = &flow.request.head;
    let wanted = match Wanted::read(head.uri.query().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(message) => return Plan::Refuse(Refusal::new(ErrorCode::BadRequest, "events", message)),
    };
    let after = head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(Into::into);
    flow.page = Some(Page::Events(Listening { wanted, after }));
    Plan::Pass
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
