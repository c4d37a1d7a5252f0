//! What holds for every answer, whatever a case is about (contract sections 5 and 6).

use serde_json::Value;

use super::{lines, same};
use crate::{
    case::{Case, Step},
    run::Seen,
};

pub(super) fn check(case: &Case, step: &Step, seen: &Seen, wrong: &mut Vec<String>) {
    let headers = &seen.headers;
    if !step.leaves {
        same("lines of `x-request-id`", &1, &headers.get_all("x-request-id").iter().count(), wrong);
        same("`x-gateway-version` is there", &true, &headers.contains_key("x-gateway-version"), wrong);
        let duration = lines(headers, "x-gateway-duration");
        let is_ms =
            duration.strip_suffix("ms").is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        same("`x-gateway-duration` is like `12ms`", &true, &is_ms, wrong);
    }
    for name in ["keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer"] {
        if seen.inside.is_some() {
            same(&format!("`{name}` goes to the client"), &false, &headers.contains_key(name), wrong);
        }
        for asked in seen.asked.iter().chain(&seen.behind).filter(|_| seen.inside.is_some()) {
            same(&format!("`{name}` goes to the origin"), &false, &asked.headers.contains_key(name), wrong);
        }
    }
    let any = lines(headers, "access-control-allow-origin") == "*";
    let with = headers.contains_key("access-control-allow-credentials");
    same("`*` with credentials", &false, &(any && with), wrong);
    if let Some(inside) = &seen.inside {
        // A page that changes something asks until that is done, and one about keys finds them by their ids first: both after
        // the verdict that the request may do that.
        let own = ["PATCH /gateway/", "POST /gateway/", "DELETE /gateway/", "GET /gateway/keys"];
        if inside.asks > 1 && !own.iter().any(|begin| step.request.starts_with(begin)) {
            wrong.push(format!("{} commands to the store before the verdict", inside.asks));
        }
        for secret in secrets(case, step) {
            same(
                "a credential is logged, counted or stored in clear",
                &false,
                &inside.told.contains(&secret),
                wrong,
            );
        }
    }
}

/// What may never be told. Short ones would be found by chance.
fn secrets(case: &Case, step: &Step) -> Vec<String> {
    let named = case.keys.keys().cloned().chain(case.workers.values().map(|learned| learned.token.clone()));
    let sent = ["x-api-key", "x-worker-token", "authorization"].into_iter().filter_map(|name| {
        let value = step.headers.get(name).and_then(Value::as_str)?;
        Some(value.rsplit(' ').next().unwrap_or(value).to_owned())
    });
    named.chain(sent).filter(|secret| secret.len() >= 8).collect()
}
