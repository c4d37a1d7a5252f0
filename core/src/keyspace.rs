//! The names under which the plugins keep things in the store (contract section 10). What is judged together carries
//! one Redis Cluster hash tag `{…}`: a credential's record and its limits share a slot.

use alloc::{format, string::String};
use core::net::IpAddr;

use crate::{address::address_text, config::Document};

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
        [&self.prefix, "key:{", stored, "}"].concat()
    }

    /// Which keys there are, by id.
    pub(crate) fn keys(&self) -> String {
        format!("{}keys", self.prefix)
    }

    /// What is learned of a worker.
    pub(crate) fn worker(&self, id: &str) -> String {
        [&self.prefix, "worker:", id].concat()
    }

    /// The owner of a job.
    pub(crate) fn job(&self, id: &str) -> String {
        [&self.prefix, "job:", id].concat()
    }

    /// The channel on which events are published.
    pub(crate) fn events(&self) -> String {
        [&self.prefix, "events"].concat()
    }

    /// The aggregated worker list.
    pub(crate) fn snapshot(&self) -> String {
        [&self.prefix, "workers:snapshot"].concat()
    }

    /// Held by the gateway that searches for workers.
    pub(crate) fn search(&self) -> String {
        [&self.prefix, "workers:search"].concat()
    }

    /// Where the last search stopped.
    pub(crate) fn search_place(&self) -> String {
        [&self.prefix, "workers:search:place"].concat()
    }

    /// A limit counted per credential.
    pub(crate) fn by_credential(&self, stored: &str, name: &str) -> String {
        [&self.prefix, "ratelimit:{", stored, "}:", name].concat()
    }

    /// A limit counted per client address.
    pub(crate) fn by_address(&self, address: IpAddr, name: &str) -> String {
        [&self.prefix, "ratelimit:{ip:", &address_text(address), "}:", name].concat()
    }

    /// A limit counted per worker.
    pub(crate) fn by_worker(&self, id: &str, name: &str) -> String {
        [&self.prefix, "ratelimit:{worker:", id, "}:", name].concat()
    }

    /// A limit counted per matched route.
    pub(crate) fn by_route(&self, pattern: &str, name: &str) -> String {
        [&self.prefix, "ratelimit:{route:", pattern, "}:", name].concat()
    }
}
