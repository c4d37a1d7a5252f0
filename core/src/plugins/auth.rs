//! Who a request is from (contract section 5).

use alloc::string::String;

/// The credential a request came with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// Stored form under the salt (API keys of the gateway's, worker tokens), or without where it begins with `ent_`; empty if none came.
    pub stored: String,
    /// Whether it equals `ADMIN_TOKEN`.
    pub is_admin_token: bool,
    /// Index into `auth.api_keys` where it equals one of them.
    pub static_key: Option<usize>,
}
