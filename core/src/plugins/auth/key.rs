//! Doors that an API key or an admin opens.

use alloc::{boxed::Box, string::String, sync::Arc};

use super::{
    Rules, accept, record,
    refusals::{forbidden, proves, unproven},
};
use crate::{
    flow::{Flow, Identity, IdentityKind, Subject},
    plugin::{Plan, Ruling},
    refusal::Refusal,
    store::{Ask, Guard, Record},
};

/// What a door asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Any API key.
    Key,
    /// `ADMIN_TOKEN`, or a key with role `admin`.
    Admin,
    /// `ADMIN_TOKEN` and nothing else.
    AdminToken,
}

/// Settles what the document knows, asks for the rest.
pub(super) fn plan(rules: &Arc<Rules>, flow: &mut Flow, ask: &mut Ask, need: Need) -> Plan {
    let presented = &flow.request.presented;
    if presented.is_admin_token {
        flow.subject = Subject::Configured;
        let (id, tenant) = (String::from("admin"), String::from("admin"));
        accept(flow, Identity { id, tenant, kind: IdentityKind::Admin });
        return Plan::Pass;
    }
    if let Some(index) = presented.static_key {
        if need != Need::Key {
            return Plan::Refuse(not_admin(flow, need));
        }
        flow.subject = Subject::Configured;
        let name = rules.names.get(index).cloned().unwrap_or_default();
        accept(flow, Identity { id: name.clone(), tenant: name, kind: IdentityKind::ApiKey });
        return Plan::Pass;
    }
    if presented.stored.is_empty() {
        return Plan::Refuse(rules.missing(flow));
    }
    let slot = ask.record(rules.keys.key(&presented.stored));
    let failure = rules.spend_failure(flow, ask, Guard::UnlessLive(slot.op), 1);
    flow.subject = Subject::Record(slot);
    let rules = Arc::clone(rules);
    Plan::Judge(Box::new(move |flow, answers| {
        // The gateway's own pages are for the operator who mends the store: an unknown token is refused, not put off.
        if !proves(answers.source) && need != Need::AdminToken {
            return Ruling::Refuse(unproven(flow));
        }
        let record = answers.cells.record(slot);
        if !record.live {
            let reason = if record.id.is_empty() { "unknown" } else { "inactive" };
            return Ruling::Refuse(rules.invalid(flow, reason, answers.cells.spend(failure).as_ref()));
        }
        match judge(flow, record, need) {
            Ok(identity) => {
                accept(flow, identity);
                Ruling::Pass
            }
            Err(refusal) => Ruling::Refuse(refusal),
        }
    }))
}

fn judge(flow: &mut Flow, record: Record, need: Need) -> Result<Identity, Refusal> {
    let identity = record::admit(flow, record)?;
    if need == Need::AdminToken || (need == Need::Admin && identity.kind != IdentityKind::Admin) {
        return Err(not_admin(flow, need));
    }
    Ok(identity)
}

fn not_admin(flow: &mut Flow, need: Need) -> Refusal {
    let message = match need {
        Need::AdminToken => "this page wants `ADMIN_TOKEN`",
        _ => "this route wants `ADMIN_TOKEN` or a key with role `admin`",
    };
    forbidden(flow, "not_admin", message)
}
