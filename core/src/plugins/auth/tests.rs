//! Heads and rows in, rulings out.

mod doors;
mod present;
mod workers;

use alloc::{format, string::String, vec};

use super::stored_form;
use crate::{
    config::{Document, Secret, StaticKey},
    plugins::{fixture::document, lab::Lab},
};

/// A document with a configured key and an admin token.
fn closed() -> Document {
    let mut document = document();
    document.auth.api_keys = vec![StaticKey { name: "config".into(), key: Secret::new("static") }];
    document.auth.admin_token = Some(Secret::new("root"));
    document
}

fn stored(token: &str) -> String {
    stored_form("distributed-gpu-inference-v1", token)
}

fn record_of(token: &str) -> String {
    format!("gateway:key:{{{}}}", stored(token))
}

/// A gateway with records: `plain`, `other` (another tenant), `boss` (role admin), `off`, `old` (expired), `home` (by address),
/// `narrow` (by route), `broken` (a list that cannot be read).
fn lab_with(document: Document) -> Lab {
    let mut lab = Lab::new(document);
    let mut put = |key: &str, fields: &[(&str, &str)]| {
        let mut all = vec![("id", key), ("tenant", key)];
        all.extend_from_slice(fields);
        lab.put(&record_of(key), &all);
    };
    put("plain", &[]);
    put("other", &[]);
    put("boss", &[("role", "admin")]);
    put("off", &[("enabled", "0")]);
    put("old", &[("expires_at", "1767225599999")]);
    put("home", &[("ip_allow", "[\"192.0.2.0/24\",\"2001:db8::1\"]")]);
    put("narrow", &[("routes", "[\"/api/v1/jobs/*\"]")]);
    put("broken", &[("ip_allow", "[1")]);
    put("worker", &[("worker_id", "w9")]);
    lab
}
