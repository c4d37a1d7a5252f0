//! What is stored of a worker's token: learned from answers here, imported from the backend's database by the command line.

use alloc::{borrow::ToOwned, format, string::String, string::ToString, vec::Vec};

/// The current token of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerToken {
    /// The worker's id.
    pub worker: String,
    /// The token's stored form.
    pub stored: String,
    /// Unix ms; none: it never expires.
    pub expires_at: Option<u64>,
}

impl WorkerToken {
    /// The fields of `gateway:worker:{id}`: they alone decide.
    pub fn current(&self) -> Vec<(String, String)> {
        self.with_expiry(Vec::from([("hash".to_owned(), self.stored.clone())]))
    }

    /// The fields of `gateway:key:{H}`: whose token it is, for a better refusal elsewhere.
    pub fn attribution(&self) -> Vec<(String, String)> {
        let owner = format!("worker:{}", self.worker);
        let fields = [("id", &*owner), ("worker_id", &*self.worker), ("tenant", &*owner), ("enabled", "1")];
        self.with_expiry(
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        )
    }

    fn with_expiry(&self, mut fields: Vec<(String, String)>) -> Vec<(String, String)> {
        fields.extend(self.expires_at.map(|at| ("expires_at".to_owned(), at.to_string())));
        fields
    }
}
