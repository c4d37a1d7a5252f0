//! `job-tracker-plugin`: whose job is whose, and what becomes of jobs (contract section 4, "Job ownership").
//!
//! The backend lets anyone read or cancel any job. So the gateway remembers the tenant that submitted one, and a known job of
//! another tenant does not exist for everybody else: the answer is the same 404 whether or not it does. This is judged
//! before the cache serves, and switching the plugin off leaves it on: `JOB_OWNERSHIP` alone decides.
//!
//! The same holds for every path below `/api/v1/jobs/{id}/`, such as the stream of its output.
//!
//! While the store is down nobody knows whose a job is, so all of these answer 503 to all but admins, under
//! `learned` too: passing would hand one tenant's results to another. Submitting goes on; such a job stays without an owner.

mod answers;
mod following;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, sync::Arc};

pub use following::Following;

use crate::{
    config::{Document, JobOwnership},
    flow::{Flow, IdentityKind},
    keyspace::Keyspace,
    plugin::{Plan, Plugin, Ruling, Source},
    refusal::{ErrorCode, Refusal},
    routes::RouteKind,
    store::Ask,
};

/// `job-tracker-plugin`.
#[derive(Clone, Debug)]
pub struct JobTracker {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    keys: Keyspace,
    ownership: JobOwnership,
    /// Whether events are raised.
    tracks: bool,
}

impl JobTracker {
    /// Prepares the rules of a document.
    pub fn new(document: &Document) -> Self {
        let tracks = document.plugins.get(NAME).and_then(|settings| settings.enabled).unwrap_or(true);
        // Without authentication there are no tenants.
        let ownership = if document.auth.enabled { document.auth.job_ownership } else { JobOwnership::Off };
        Self { rules: Arc::new(Rules { keys: Keyspace::new(document), ownership, tracks }) }
    }
}

impl Plugin for JobTracker {
    fn name(&self) -> &'static str {
        NAME
    }

    /// After the limits, so that a refusal costs what it costs; before the cache.
    fn priority(&self) -> i32 {
        85
    }

    fn stays(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        !self.rules.tracks
    }

    fn plan(&self, flow: &mut Flow, ask: &mut Ask) -> Plan {
        let rules = &self.rules;
        match flow.request.route.kind {
            RouteKind::JobSubmit | RouteKind::JobSubmitSync => answers::watch_submit(rules, flow),
            RouteKind::JobRead => {
                answers::watch_read(rules, flow);
                return rules.guard(flow, ask);
            }
            RouteKind::JobCancel | RouteKind::JobOther => return rules.guard(flow, ask),
            _ => {}
        }
        Plan::Pass
    }
}

impl Rules {
    fn guard(self: &Arc<Self>, flow: &Flow, ask: &mut Ask) -> Plan {
        let Some(job) = flow.request.job_id.as_deref().filter(|_| self.ownership != JobOwnership::Off) else {
            return Plan::Pass;
        };
        let slot = ask.get(self.keys.job(job));
        let strict = self.ownership == JobOwnership::Strict;
        Plan::Judge(Box::new(move |flow, answers| {
            if flow.identity.as_ref().is_some_and(|identity| identity.kind == IdentityKind::Admin) {
                return Ruling::Pass;
            }
            if answers.source != Source::Store {
                let message = "the owner of this job cannot be looked up while the store is down; try again";
                let refusal = Refusal::new(ErrorCode::StoreUnavailable, "store_down", message);
                return Ruling::Refuse(refusal.retry_after_ms(1_000));
            }
            let tenant = flow.identity.as_ref().map(|identity| identity.tenant.as_bytes());
            match (answers.cells.bytes(slot), strict) {
                (Some(owner), _) if tenant == Some(&*owner) => Ruling::Pass,
                (None, false) => Ruling::Pass,
                _ => {
                    let message = "there is no such job";
                    Ruling::Refuse(Refusal::new(ErrorCode::NotFound, "foreign_job", message))
                }
            }
        }))
    }
}

const NAME: &str = "job-tracker-plugin";
