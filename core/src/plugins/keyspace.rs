//! The names under which the plugins keep things in the store (contract section 10). What is judged together carries
//! one Redis Cluster hash tag `{…}`: a credential's record and its limits share a slot.

use alloc::{format, string::String};
use core::net::IpAddr;

use crate::config::Document;

/// Key names under the document's prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    prefix: String,
}

impl Keyspace {
    pub(crate) fn new(document: &Document) -> Self {
        Self { prefix: document.store.key_prefix.clone() }
    }

    /// The record of a credential, by its stored form.
    pub(crate) fn key(&self, stored: &str) -> String {
        format!("{}key:{{{stored}}}", self.prefix)
    }

    /// What is learned of a worker.
    pub(crate) fn worker(&self, id: &str) -> String {
        format!("{}worker:{id}", self.prefix)
    }

    /// The owner of a job.
    pub(crate) fn job(&self, id: &str) -> String {
        format!("{}job:{id}", self.prefix)
    }

    /// The aggregated worker list.
    pub(crate) fn snapshot(&self) -> String {
        format!("{}workers:snapshot", self.prefix)
    }

    /// Held by the gateway that searches for workers.
    pub(crate) fn search(&self) -> String {
        format!("{}workers:search", self.prefix)
    }

    /// Where the last search stopped.
    pub(crate) fn search_place(&self) -> String {
        format!("{}workers:search:place", self.prefix)
    }

    /// A limit counted per credential.
    pub(crate) fn by_credential(&self, stored: &str, name: &str) -> String {
        format!("{}ratelimit:{{{stored}}}:{name}", self.prefix)
    }

    /// A limit counted per client address.
    pub(crate) fn by_address(&self, address: IpAddr, name: &str) -> String {
        format!("{}ratelimit:{{ip:{address}}}:{name}", self.prefix)
    }

    /// A limit counted per worker.
    pub(crate) fn by_worker(&self, id: &str, name: &str) -> String {
        format!("{}ratelimit:{{worker:{id}}}:{name}", self.prefix)
    }

    /// A limit counted per matched route.
    pub(crate) fn by_route(&self, pattern: &str, name: &str) -> String {
        format!("{}ratelimit:{{route:{pattern}}}:{name}", self.prefix)
    }
}
