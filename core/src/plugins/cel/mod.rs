//! `cel-plugin`: the document's `[[rules]]`, judged in order. Rules that read `identity` wait until the store has said who
//! asks and come after all others; those others can refuse before the store is asked. The language is [`crate::cel`]'s.

mod scope;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use http::header;

use crate::{
    cel::{Budget, ParseError, Program},
    config::{Document, Rule},
    event::Event,
    flow::{ChosenLimit, Flow},
    origins::OriginId,
    plugin::{OnError, Plan, Plugin, Ruling},
    refusal::{ErrorCode, Refusal},
    routes::RouteKind,
    store::Ask,
};

pub use scope::HIDDEN_FIELDS;
use scope::{NAMES, Seen};

/// Compiles the condition of a rule.
///
/// # Errors
/// What is wrong with it, and where.
pub fn compile(condition: &str) -> Result<Program, ParseError> {
    Program::compile(condition, &NAMES)
}

/// Whether a condition wants to know who asks.
pub(crate) fn reads_identity(condition: &Program) -> bool {
    scope::IDENTITY.into_iter().any(|name| condition.reads(name))
}

/// The plugin.
#[derive(Debug)]
pub struct Cel {
    rules: Arc<[Compiled]>,
    /// Whether any rule waits for the store.
    waits: bool,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    pool: Option<Arc<[OriginId]>>,
    limit: Option<ChosenLimit>,
    /// Reads `identity`.
    late: bool,
}

impl Cel {
    /// Resolves the names in a document's rules.
    pub fn new(document: &Document) -> Self {
        let origin = |name: &alloc::string::String| {
            document.origins.iter().position(|origin| origin.name == *name).map(OriginId)
        };
        let compiled = |rule: &Rule| {
            let pool: Vec<OriginId> = rule.origins.iter().filter_map(origin).collect();
            let limit = rule.limit.as_ref().and_then(|limit| {
                let index = document.limits.iter().position(|named| named.name == limit.name)?;
                Some(ChosenLimit { index, cost: limit.cost })
            });
            let late = reads_identity(&rule.when);
            Compiled { rule: rule.clone(), pool: (!pool.is_empty()).then(|| pool.into()), limit, late }
        };
        let rules: Arc<[Compiled]> = document.rules.iter().map(compiled).collect();
        Self { waits: rules.iter().any(|rule| rule.late), rules }
    }
}

impl Plugin for Cel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn priority(&self) -> i32 {
        95
    }

    fn implementation(&self) -> &'static str {
        "rules"
    }

    fn is_enabled(&self) -> bool {
        !self.rules.is_empty()
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        // What an operator mends a rule with is not for rules to close.
        if flow.request.route.kind == RouteKind::Own {
            return Plan::Pass;
        }
        let mut budget = Budget::of_request();
        match judge(&self.rules, false, flow, &mut budget) {
            Next::Refuse(refusal) => Plan::Refuse(refusal),
            Next::Rest if self.waits => {
                let rules = Arc::clone(&self.rules);
                Plan::Judge(Box::new(move |flow, _| match judge(&rules, true, flow, &mut budget) {
                    Next::Refuse(refusal) => Ruling::Refuse(refusal),
                    Next::Rest | Next::Done => Ruling::Pass,
                }))
            }
            Next::Rest | Next::Done => Plan::Pass,
        }
    }
}

enum Next {
    /// Further rules are looked at.
    Rest,
    /// A rule said `allow`.
    Done,
    Refuse(Refusal),
}

/// Judges the rules of one kind in order.
fn judge(rules: &[Compiled], late: bool, flow: &mut Flow, budget: &mut Budget) -> Next {
    for compiled in rules.iter().filter(|compiled| compiled.late == late) {
        let rule = &compiled.rule;
        match rule.when.holds(&Seen { flow }, budget) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(deny) = &rule.deny {
                    let mut refusal = Refusal::new(deny.code, "rule", deny.message.clone());
                    refusal.retry_after_s = deny.retry_after_s.map(u64::from);
                    return Next::Refuse(refusal);
                }
                apply(compiled, flow);
                if rule.allow {
                    return Next::Done;
                }
            }
            Err(fault) => {
                let detail = format!("rule `{}`: {fault}", rule.name);
                flow.events.push(Event::PluginError { plugin: NAME, detail });
                if rule.on_error == OnError::Deny {
                    let message = "a rule of this gateway could not be judged for this request";
                    return Next::Refuse(Refusal::new(ErrorCode::Forbidden, "rule_error", message));
                }
            }
        }
    }
    Next::Rest
}

/// What follows from a rule that holds. Of several that say the same thing, the last counts.
fn apply(compiled: &Compiled, flow: &mut Flow) {
    let rule = &compiled.rule;
    flow.outgoing.remove.extend(rule.remove_request_headers.iter().cloned());
    for (name, value) in &rule.set_request_headers {
        flow.outgoing.set.insert(name.clone(), value.clone());
    }
    flow.response_remove.extend(rule.remove_response_headers.iter().cloned());
    for (name, value) in &rule.set_response_headers {
        if *name == header::VARY {
            // A list, to which CORS has added; its members are merged.
            flow.response_headers.append(name.clone(), value.clone());
        } else {
            flow.response_headers.insert(name.clone(), value.clone());
        }
    }
    flow.chosen_limits.extend(compiled.limit);
    if let Some(pool) = &compiled.pool {
        flow.outgoing.pool = Some(Arc::clone(pool));
    }
    flow.skip_cache |= rule.skip_cache;
}

const NAME: &str = "cel-plugin";
