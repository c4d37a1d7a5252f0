//! `[[rules]]`: conditions and what follows from them, for `cel-plugin`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{
    error::{Faults, Place, suggestion},
    field::{Field, Fields},
    kind::{Form, Kind},
    knob::{Flaw, Knob},
    masked::without_nulls,
    model::Document,
    sections::items,
    settings::MAX_LIMIT,
    tree::Node,
};
use crate::{cel::Program, http::names, plugin::OnError, plugins::cel, refusal::ErrorCode};

/// One of `[[rules]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique; appears in events and logs. `rule-1` and so on by place if unset.
    pub name: String,
    /// Whether it is about a request.
    pub when: Program,
    /// Refuses it.
    pub deny: Option<Deny>,
    /// Lets it pass without a look at further rules.
    pub allow: bool,
    /// Fields for the origin, in place of those of the same name.
    pub set_request_headers: Fieldset,
    /// Fields that the origin does not get.
    pub remove_request_headers: Vec<HeaderName>,
    /// Fields for the client, in place of those of the same name.
    pub set_response_headers: Fieldset,
    /// Fields of the origin's that the client does not get.
    pub remove_response_headers: Vec<HeaderName>,
    /// Spends from one of `[[limits]]`.
    pub limit: Option<RuleLimit>,
    /// Names of the origins that may be asked; empty: all.
    pub origins: Vec<String>,
    /// Neither reads nor writes the cache.
    pub skip_cache: bool,
    /// What follows where the condition has no answer.
    pub on_error: OnError,
}

/// Fields and their values.
pub type Fieldset = Vec<(HeaderName, HeaderValue)>;

/// How a rule refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// Code, and with it the status.
    pub code: ErrorCode,
    /// For the client.
    pub message: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
}

/// Which limit, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleLimit {
    /// One of `[[limits]]`.
    pub name: String,
    /// In place of the limit's own cost.
    pub cost: Option<u32>,
}

/// `[[rules]]`.
pub(super) const RULE: &[Field] = &[
    Field::one("when", Kind::Text(Form::Condition), "the condition under which the rest holds").required(),
    Field::one(
        "name",
        Kind::Text(Form::Token),
        "unique; seen in events and logs; default `rule-1`, `rule-2`, …",
    ),
    Field::table("deny", DENY, "refuses the request"),
    Field::one("allow", Kind::Flag, "passes over the rules that follow; default off"),
    Field::one(
        "set_request_headers",
        Kind::List(Form::FieldLine),
        "fields that the origin gets in place of the client's",
    ),
    Field::one("remove_request_headers", Kind::List(Form::FieldName), "fields that the origin does not get"),
    Field::one(
        "set_response_headers",
        Kind::List(Form::FieldLine),
        "fields that the client gets in place of the origin's",
    ),
    Field::one("remove_response_headers", Kind::List(Form::FieldName), "fields that the client does not get"),
    Field::table("limit", LIMIT, "spends from one of `[[limits]]`; not where the condition reads `identity`"),
    Field::one("origins", Kind::List(Form::OriginName), "only these of `[[origins]]` are asked"),
    Field::one("skip_cache", Kind::Flag, "neither reads nor writes the cache; default off"),
    Field::one(
        "on_error",
        Kind::OneOf(OnError::NAMES),
        "what follows where the condition has no answer: `deny` (default) refuses, `allow` passes over the rule",
    ),
];

/// `deny` of `[[rules]]`.
const DENY: &[Field] = &[
    Field::one(
        "status",
        Kind::Number { min: 400, max: 599 },
        "400, 403 (default), 404, 405, 413, 429 or 503: those that have an error code",
    ),
    Field::one("message", Kind::Text(Form::Plain), "what the client is told"),
    Field::one(
        "retry_after_seconds",
        Kind::Number { min: 1, max: MAX_RETRY_S },
        "when to try again: `Retry-After`; default 60 with 429 and 503, else not said",
    ),
];

/// `limit` of `[[rules]]`.
const LIMIT: &[Field] = &[
    Field::one("name", Kind::Text(Form::Token), "one of `[[limits]]`").required(),
    Field::one(
        "cost",
        Kind::Number { min: 1, max: MAX_LIMIT },
        "what the request costs; default the limit's own",
    ),
];

/// Reads `[[rules]]`.
pub(super) fn rules(node: &Node, faults: &mut Faults<'_>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, (path, item)) in items(node, "rules", faults).into_iter().enumerate() {
        let Some(mut fields) = Fields::open(item, path, RULE, faults) else { continue };
        let name: Option<String> = fields.get("name", faults);
        let name = name.unwrap_or_else(|| format!("rule-{}", index.saturating_add(1)));
        if rules.iter().any(|other| other.name == name) {
            let message = format!("two rules are called `{name}`: give each a name of its own");
            fields.refuse("name", message, faults);
        }
        if index >= MAX_RULES {
            fields.refuse("when", format!("there are more than {MAX_RULES} rules: join some"), faults);
            break;
        }
        rules.extend(rule(&mut fields, name, faults));
    }
    rules
}

fn rule(fields: &mut Fields<'_>, name: String, faults: &mut Faults<'_>) -> Option<Rule> {
    let when: Option<String> = fields.get("when", faults);
    let when = when.and_then(|source| match cel::compile(&source) {
        Ok(when) => Some(when),
        Err(error) => {
            fields.refuse("when", error.to_string(), faults);
            None
        }
    });
    let deny = fields.table("deny", faults).flatten().map(|mut deny| {
        let code = deny.get("status", faults).map_or(Some(ErrorCode::Forbidden), ErrorCode::of_refusal);
        if code.is_none() {
            let message = "this status has no error code: write 400, 403, 404, 405, 413, 429 or 503";
            deny.refuse("status", message.to_string(), faults);
        }
        let message: Option<String> = deny.get("message", faults);
        let code = code.unwrap_or(ErrorCode::Forbidden);
        Deny {
            retry_after_s: deny
                .get("retry_after_seconds", faults)
                .or(code.is_of_the_moment().then_some(RETRY_S)),
            code,
            message: message.unwrap_or_else(|| "a rule of this gateway refuses the request".to_string()),
        }
    });
    let limit = fields.table("limit", faults).flatten().map(|mut limit| RuleLimit {
        name: limit.get("name", faults).unwrap_or_default(),
        cost: limit.get("cost", faults),
    });
    let when = when?;
    if limit.is_some() && cel::reads_identity(&when) {
        let message = "limits are spent before it is known who asks: a rule with `limit` cannot read `identity`; \
                       give the key limits of its own";
        fields.refuse("limit", message.to_string(), faults);
    }
    let rule = Rule {
        name,
        when,
        deny,
        allow: fields.get("allow", faults).unwrap_or(false),
        set_request_headers: fields.get("set_request_headers", faults).unwrap_or_default(),
        remove_request_headers: fields.get("remove_request_headers", faults).unwrap_or_default(),
        set_response_headers: fields.get("set_response_headers", faults).unwrap_or_default(),
        remove_response_headers: fields.get("remove_response_headers", faults).unwrap_or_default(),
        limit,
        origins: fields.get("origins", faults).unwrap_or_default(),
        skip_cache: fields.get("skip_cache", faults).unwrap_or(false),
        on_error: fields.get("on_error", faults).unwrap_or_default(),
    };
    if rule.deny.is_some() && rule.allow {
        fields.refuse("allow", "`deny` refuses what `allow` lets pass: keep one".to_string(), faults);
    }
    Some(rule)
}

/// Notes names of limits and origins that nothing has.
pub(super) fn refer(document: &Document, faults: &mut Faults<'_>) {
    for (index, rule) in document.rules.iter().enumerate() {
        let origins = || document.origins.iter().map(|origin| origin.name.as_str());
        let limits = || document.limits.iter().map(|limit| limit.name.as_str());
        let place = |key: &str, faults: &Faults<'_>| -> Place {
            faults.place(&format!("rules[{index}].{key}"), None)
        };
        for name in rule.origins.iter().filter(|name| !origins().any(|known| known == *name)) {
            let message = format!("no origin is called `{name}`{}", suggestion(name, origins()));
            faults.note(place("origins", faults), message);
        }
        let unknown = rule.limit.as_ref().filter(|limit| !limits().any(|known| known == limit.name));
        if let Some(RuleLimit { name, .. }) = unknown {
            let message = format!("none of `[[limits]]` is called `{name}`{}", suggestion(name, limits()));
            faults.note(place("limit.name", faults), message);
        }
    }
}

/// A rule as the document writes it.
pub(super) fn masked(rule: &Rule) -> Value {
    let lines = |fields: &Fieldset| {
        let line = |(name, value): &(HeaderName, HeaderValue)| {
            Value::String(format!("{name}: {}", value.to_str().unwrap_or_default()))
        };
        (!fields.is_empty()).then(|| fields.iter().map(line).collect::<Value>())
    };
    let names = |names: &[HeaderName]| {
        (!names.is_empty()).then(|| names.iter().map(HeaderName::as_str).collect::<Value>())
    };
    without_nulls(json!({
        "name": rule.name,
        "when": rule.when.source(),
        "deny": rule.deny.as_ref().map(|deny| {
            without_nulls(json!({
                "status": deny.code.status().as_u16(),
                "message": deny.message,
                "retry_after_seconds": deny.retry_after_s,
            }))
        }),
        "allow": rule.allow.then_some(true),
        "set_request_headers": lines(&rule.set_request_headers),
        "remove_request_headers": names(&rule.remove_request_headers),
        "set_response_headers": lines(&rule.set_response_headers),
        "remove_response_headers": names(&rule.remove_response_headers),
        "limit": rule.limit.as_ref().map(|limit| {
            without_nulls(json!({ "name": limit.name, "cost": limit.cost }))
        }),
        "origins": (!rule.origins.is_empty()).then_some(&rule.origins),
        "skip_cache": rule.skip_cache.then_some(true),
        "on_error": rule.on_error.name(),
    }))
}

impl Knob for Vec<String> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let Kind::List(form) = kind else { return Err(Flaw::new(kind.accepts())) };
        let one = |(part, text): (usize, &&str)| {
            String::read(&[*text], Kind::Text(form)).map_err(|flaw| Flaw { part, ..flaw })
        };
        parts.iter().enumerate().map(one).collect()
    }

    fn show(&self) -> Value {
        Value::from(self.as_slice())
    }
}

impl Knob for Vec<HeaderName> {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        let one = |(part, text): (usize, &&str)| field_name(text).map_err(|wanted| Flaw { part, wanted });
        parts.iter().enumerate().map(one).collect()
    }

    fn show(&self) -> Value {
        self.iter().map(HeaderName::as_str).collect()
    }
}

impl Knob for Fieldset {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let line = |text: &str| {
            let (name, value) = text.split_once(':').ok_or_else(|| kind.accepts())?;
            let value = HeaderValue::from_str(value.trim()).map_err(|_| kind.accepts())?;
            value.to_str().map_err(|_| kind.accepts())?;
            Ok((field_name(name.trim())?, value))
        };
        let one = |(part, text): (usize, &&str)| line(text).map_err(|wanted| Flaw { part, wanted });
        parts.iter().enumerate().map(one).collect()
    }

    fn show(&self) -> Value {
        Value::Null
    }
}

/// The name of a field that a rule or a component may set or remove.
///
/// # Errors
/// What is accepted: it is no name, or the gateway's, the connection's or a credential's.
pub fn field_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text).map_err(|_| Form::FieldName.accepts().to_string())?;
    let word = name.as_str();
    let taken = TAKEN.contains(&word)
        || cel::HIDDEN_FIELDS.contains(&word)
        || ["x-forwarded-", "x-gateway-", "x-ratelimit-", "access-control-", "proxy-"]
            .iter()
            .any(|start| word.starts_with(start))
        || [names::RATELIMIT, names::RATELIMIT_POLICY, names::CACHE_STATUS].contains(&name);
    if taken {
        return Err(
            "the name of a field that is not the gateway's, the connection's or a credential".to_string()
        );
    }
    Ok(name)
}

/// Fields that the gateway writes itself, or that say how the message is framed.
const TAKEN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
    "x-signature",
    "x-signature-skipped",
    "x-timestamp",
];

/// The length of a limit's window, unless it is set.
const RETRY_S: u32 = 60;
/// A day.
const MAX_RETRY_S: u64 = 86_400;
/// Each is looked at for each request.
const MAX_RULES: usize = 256;

#[cfg(test)]
mod tests;
