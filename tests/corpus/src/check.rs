//! Compares what came of a step with what was expected, field by field. Besides, every answer is held to what the
//! contract promises of all of them.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::{
    case::{Case, Step},
    expect::{Field, Kept, Part},
    run::{Asked, Inside, Seen},
};

mod always;
mod writes;

/// How the store is read.
pub type Read<'r> = dyn FnMut(&str) -> Result<Option<Bytes>, String> + 'r;

/// All mismatches, one line each.
pub fn check(case: &Case, step: &Step, seen: &Seen, read: &mut Read<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    answer(step, seen, &mut wrong);
    asked(step, seen, &mut wrong);
    if let Some(inside) = &seen.inside {
        told(step, inside, &mut wrong);
    }
    for (key, kept) in &step.expect.store {
        match read(key) {
            Ok(found) => self::kept(key, kept, found.as_ref(), &mut wrong),
            Err(error) => wrong.push(format!("store `{key}`: {error}")),
        }
    }
    always::check(case, step, seen, &mut wrong);
    if !wrong.is_empty() {
        wrong.push(format!("the answer was {} {}", seen.status, shown(&seen.body)));
    }
    wrong
}

fn answer(step: &Step, seen: &Seen, wrong: &mut Vec<String>) {
    let expect = &step.expect;
    if let Some(status) = expect.status {
        same("status", &status, &seen.status, wrong);
    }
    if let Some(code) = &expect.error {
        error(code, seen, wrong);
    }
    for (name, field) in &expect.headers {
        self::field(&format!("header `{name}`"), field, &seen.headers, name, wrong);
    }
    let text = String::from_utf8_lossy(&seen.body);
    if let Some(body) = &expect.body {
        same("body", body, &text.as_ref().to_owned(), wrong);
    }
    if expect.json.is_some() || !expect.lacks.is_empty() {
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if let Some(expected) = &expect.json {
            within("body", expected, &json, wrong);
        }
        for path in &expect.lacks {
            let pointer = format!("/{}", path.replace('.', "/"));
            if let Some(value) = json.pointer(&pointer) {
                wrong.push(format!("body `{path}`: expected none, is {value}"));
            }
        }
    }
    if let Some(cache) = &expect.cache {
        let is = seen.headers.get("x-gateway-cache").map_or("none", |it| it.to_str().unwrap_or_default());
        same("cache", &cache.as_str(), &is, wrong);
    }
    same("body breaks off", &expect.breaks, &seen.broke, wrong);
}

/// Contract section 7, written down once more.
fn error(code: &str, seen: &Seen, wrong: &mut Vec<String>) {
    let Some((_, status)) = CODES.iter().find(|(name, _)| *name == code) else {
        wrong.push(format!("`{code}` is no code of the contract"));
        return;
    };
    same("status", status, &seen.status, wrong);
    let json: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let problem = lines(&seen.headers, "content-type") == "application/problem+json";
    let at = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (is, id) =
        if problem { (at("/code"), at("/requestId")) } else { (at("/error/code"), at("/error/requestId")) };
    // The answer to HEAD has no body to look into.
    if !seen.body.is_empty() {
        same("error code", &code, &is, wrong);
        same("error requestId", &lines(&seen.headers, "x-request-id").as_str(), &id, wrong);
    }
    if !problem {
        same("content-type", &"application/json", &lines(&seen.headers, "content-type").as_str(), wrong);
    }
}

fn asked(step: &Step, seen: &Seen, wrong: &mut Vec<String>) {
    let expect = &step.expect;
    let all = || seen.asked.iter().chain(&seen.behind);
    let names = |asked: &[Asked]| asked.iter().map(|it| it.origin.clone()).collect::<Vec<_>>();
    if expect.behind {
        same("origins asked before the answer", &Vec::new(), &names(&seen.asked), wrong);
    } else {
        same("origins asked behind the client's back", &Vec::new(), &names(&seen.behind), wrong);
    }
    let count = all().count();
    if count != step.origin.len() {
        wrong.push(format!(
            "origins asked: expected {} of them, asked {:?}",
            step.origin.len(),
            names(&all().cloned().collect::<Vec<_>>())
        ));
    }
    if let Some(origins) = &expect.origins {
        same("origins asked", origins, &names(&all().cloned().collect::<Vec<_>>()), wrong);
    }
    let sent = &expect.sent;
    let Some(first) = all().next() else {
        if sent.request.is_some() || !sent.headers.is_empty() || sent.body.is_some() {
            wrong.push("sent: no origin was asked".to_owned());
        }
        return;
    };
    if let Some(request) = &sent.request {
        same("sent", request, &first.request, wrong);
    }
    for (name, field) in &sent.headers {
        self::field(&format!("sent header `{name}`"), field, &first.headers, name, wrong);
    }
    if let Some(body) = &sent.body {
        same("sent body", body, &String::from_utf8_lossy(&first.body).into_owned(), wrong);
    }
}

fn told(step: &Step, inside: &Inside, wrong: &mut Vec<String>) {
    let expect = &step.expect;
    if let Some(asks) = expect.asks {
        same("commands to the store before the verdict", &asks, &inside.asks, wrong);
    }
    if let Some(timeout) = expect.sent.timeout {
        same("sent timeout ms", &Some(timeout.ms()), &inside.timeout_ms, wrong);
    }
    let is = |event: &str, expected: &str| {
        event == expected || (!expected.contains(' ') && event.split(' ').next() == Some(expected))
    };
    let mut rest = inside.events.iter();
    for expected in &expect.events {
        if !rest.any(|event| is(event, expected)) {
            wrong.push(format!("events: expected `{expected}` (in this order), are {:?}", inside.events));
        }
    }
    for expected in &expect.no_events {
        if inside.events.iter().any(|event| is(event, expected)) {
            wrong.push(format!("events: expected no `{expected}`, are {:?}", inside.events));
        }
    }
    if let Some(expected) = &expect.writes {
        writes::check(expected, &inside.writes, wrong);
    }
    let facts = [
        ("refused", &expect.refused, &inside.refused),
        ("route", &expect.route, &inside.route),
        ("identity", &expect.identity, &inside.identity),
    ];
    for (what, expected, is) in facts {
        if let Some(expected) = expected {
            same(what, &expected.as_str(), &is.as_deref().unwrap_or("none"), wrong);
        }
    }
}

fn kept(key: &str, kept: &Kept, found: Option<&Bytes>, wrong: &mut Vec<String>) {
    let what = format!("store `{key}`");
    match (kept, found) {
        (Kept::There(there), found) => same(&format!("{what} is there"), there, &found.is_some(), wrong),
        (Kept::Is(expected), Some(found)) => {
            same(&what, &expected.0, &String::from_utf8_lossy(found).into_owned(), wrong);
        }
        (Kept::Json { json }, Some(found)) => {
            within(&what, json, &serde_json::from_slice(found).unwrap_or_default(), wrong);
        }
        (_, None) => wrong.push(format!("{what}: is not there")),
    }
}

fn field(what: &str, expected: &Field, headers: &HeaderMap, name: &str, wrong: &mut Vec<String>) {
    let is = lines(headers, name);
    match expected {
        Field::There(there) => same(&format!("{what} is there"), there, &headers.contains_key(name), wrong),
        Field::Number(number) => same(what, &number.to_string(), &is, wrong),
        Field::Is(text) => same(what, text, &is, wrong),
        Field::Lines(expected) => {
            let is: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
                .collect();
            same(what, expected, &is, wrong);
        }
        Field::Part(Part { starts, contains, lacks }) => {
            if starts.as_ref().is_some_and(|part| !is.starts_with(part.as_str())) {
                wrong.push(format!("{what}: expected to start with {starts:?}, is {is:?}"));
            }
            if contains.as_ref().is_some_and(|part| !is.contains(part.as_str())) {
                wrong.push(format!("{what}: expected to contain {contains:?}, is {is:?}"));
            }
            if lacks.as_ref().is_some_and(|part| is.contains(part.as_str())) {
                wrong.push(format!("{what}: expected not to contain {lacks:?}, is {is:?}"));
            }
        }
    }
}

/// Everything named in `expected` is in `is`.
fn within(what: &str, expected: &Value, is: &Value, wrong: &mut Vec<String>) {
    let read = match expected {
        Value::String(text) => {
            serde_json::from_str::<Value>(text).ok().filter(|it| it.is_object() || it.is_array())
        }
        _ => None,
    };
    match (read.as_ref().unwrap_or(expected), is) {
        (Value::Object(expected), Value::Object(is)) => {
            for (name, value) in expected {
                match is.get(name) {
                    Some(is) => within(&format!("{what}.{name}"), value, is, wrong),
                    None => wrong.push(format!("{what}.{name}: expected {value}, is not there")),
                }
            }
        }
        (Value::Array(expected), Value::Array(is)) if expected.len() == is.len() => {
            for (index, (expected, is)) in expected.iter().zip(is).enumerate() {
                within(&format!("{what}[{index}]"), expected, is, wrong);
            }
        }
        (expected, is) => same(what, expected, is, wrong),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, is: &T, wrong: &mut Vec<String>) {
    if expected != is {
        wrong.push(format!("{what}: expected {expected:?}, is {is:?}"));
    }
}

fn lines(headers: &HeaderMap, name: &str) -> String {
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|it| String::from_utf8_lossy(it.as_bytes())).collect();
    lines.join(", ")
}

fn shown(body: &Bytes) -> String {
    String::from_utf8_lossy(body).chars().take(400).collect()
}

const CODES: [(&str, u16); 17] = [
    ("BAD_REQUEST", 400),
    ("UNAUTHORIZED", 401),
    ("FORBIDDEN", 403),
    ("NOT_FOUND", 404),
    ("METHOD_NOT_ALLOWED", 405),
    ("CONFLICT", 409),
    ("PRECONDITION_FAILED", 412),
    ("PAYLOAD_TOO_LARGE", 413),
    ("RATE_LIMIT_EXCEEDED", 429),
    ("HEADERS_TOO_LARGE", 431),
    ("INTERNAL_ERROR", 500),
    ("NOT_IMPLEMENTED", 501),
    ("BAD_GATEWAY", 502),
    ("STORE_UNAVAILABLE", 503),
    ("OVERLOADED", 503),
    ("GATEWAY_TIMEOUT", 504),
    ("LOOP_DETECTED", 508),
];
