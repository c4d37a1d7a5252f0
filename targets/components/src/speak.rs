//! The words of `wit/plugin.wit`: what a component is told, and what its answer means.

use acip_core::{
    ErrorCode, Flow, Refusal, config::field_name, flow::IdentityKind, plugins::cel::HIDDEN_FIELDS,
};
use http::{HeaderValue, header};
use wasmtime::component::Val;

/// What follows; edits are made already.
pub(crate) enum Outcome {
    Pass,
    Refuse(Refusal),
    Wait,
}

/// `request`.
pub(crate) fn request(flow: &Flow) -> Val {
    let request = &flow.request;
    let fields = request.head.headers.iter().filter(|(name, _)| !HIDDEN_FIELDS.contains(&name.as_str()));
    let fields = fields.map(|(name, value)| {
        record([
            ("name", text(name.as_str())),
            ("value", Val::String(String::from_utf8_lossy(value.as_bytes()).into())),
        ])
    });
    let optional = |value: Option<&str>| Val::Option(value.map(|value| Box::new(text(value))));
    record([
        ("method", text(request.head.method.as_str())),
        ("path", text(request.head.uri.path())),
        ("query", optional(request.head.uri.query())),
        ("route", text(&request.route.pattern)),
        ("headers", Val::List(fields.collect())),
        ("client-ip", Val::String(request.client.to_string())),
        ("client-region", optional(request.region.as_deref())),
        ("time-ms", Val::U64(request.facts.now_ms)),
    ])
}

/// `option<identity>`.
pub(crate) fn identity(flow: &Flow) -> Val {
    let identity = flow.identity.as_ref().map(|identity| {
        let kind = match identity.kind {
            IdentityKind::ApiKey => "api-key",
            IdentityKind::Admin => "admin",
            IdentityKind::Worker => "worker",
        };
        record([("id", text(&identity.id)), ("tenant", text(&identity.tenant)), ("kind", text(kind))])
    });
    Val::Option(identity.map(Box::new))
}

/// Reads `outcome` and makes its edits.
///
/// # Errors
/// An answer that the gateway does not take.
pub(crate) fn outcome(answer: Val, flow: &mut Flow) -> Result<Outcome, String> {
    let Val::Variant(case, payload) = answer else { return Err(MISTYPED.to_owned()) };
    match (case.as_str(), payload.map(|payload| *payload)) {
        ("pass", None) => Ok(Outcome::Pass),
        ("wait", None) => Ok(Outcome::Wait),
        ("edit", Some(Val::Record(edits))) => edit(edits, flow).map(|()| Outcome::Pass),
        ("refuse", Some(Val::Record(parts))) => match parts.as_slice() {
            [(_, Val::U16(status)), (_, Val::String(message))] => {
                let code = ErrorCode::of_refusal(*status)
                    .ok_or_else(|| format!("it refused with {status}, which has no error code"))?;
                Ok(Outcome::Refuse(Refusal::new(code, "component", message.clone())))
            }
            _ => Err(MISTYPED.to_owned()),
        },
        _ => Err(MISTYPED.to_owned()),
    }
}

/// All or nothing: what cannot be set spoils the rest.
fn edit(edits: Vec<(String, Val)>, flow: &mut Flow) -> Result<(), String> {
    let parts: Vec<Val> = edits.into_iter().map(|(_, part)| part).collect();
    let Ok(
        [
            Val::List(set),
            Val::List(remove),
            Val::List(set_back),
            Val::List(remove_back),
            Val::Bool(skip_cache),
        ],
    ) = <[Val; 5]>::try_from(parts)
    else {
        return Err(MISTYPED.to_owned());
    };
    let set = set.into_iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let remove = remove.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
    let set_back = set_back.into_iter().map(field).collect::<Result<Vec<_>, _>>()?;
    let remove_back = remove_back.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
    flow.outgoing.remove.extend(remove);
    flow.outgoing.set.extend(set);
    flow.response_remove.extend(remove_back);
    // `Vary` is a list, to which CORS has added; its members are merged.
    for (name, _) in set_back.iter().filter(|(name, _)| name != header::VARY) {
        flow.response_headers.remove(name);
    }
    flow.response_headers.extend(set_back);
    flow.skip_cache |= skip_cache;
    Ok(())
}

fn field(val: Val) -> Result<(http::HeaderName, HeaderValue), String> {
    let Val::Record(parts) = val else { return Err(MISTYPED.to_owned()) };
    let [(_, Val::String(name)), (_, Val::String(value))] = parts.as_slice() else {
        return Err(MISTYPED.to_owned());
    };
    let value = HeaderValue::from_str(value).map_err(|_| "it set a field to what is no field's value")?;
    Ok((settable(name)?, value))
}

fn name(val: Val) -> Result<http::HeaderName, String> {
    match val {
        Val::String(name) => settable(&name),
        _ => Err(MISTYPED.to_owned()),
    }
}

fn settable(name: &str) -> Result<http::HeaderName, String> {
    field_name(name).map_err(|wanted| format!("it named a field that it may not touch: write {wanted}"))
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn record<const N: usize>(parts: [(&str, Val); N]) -> Val {
    Val::Record(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
}

const MISTYPED: &str = "its answer is not that of `wit/plugin.wit`";
