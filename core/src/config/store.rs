//! The settings of the store, and what follows from several of them.

use alloc::string::String;

use super::{
    model::OriginUrl,
    secret::Secret,
    store_url::{RedisAddress, StorePlace, StoreUrl},
};

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `REDIS_URL`, or made from `UPSTASH_REDIS_REST_URL`; none: embedded store. May hold a password.
    pub url: Option<StoreUrl>,
    /// `REDIS_PASSWORD`.
    pub password: Option<Secret>,
    /// `REDIS_DB`.
    pub db: u32,
    /// `REDIS_KEY_PREFIX`, for the `gateway:` keys.
    pub key_prefix: String,
    /// `UPSTASH_REDIS_REST_TOKEN` / `REDIS_REST_TOKEN`.
    pub rest_token: Option<Secret>,
    /// `REDIS_TIMEOUT`: ms for a decision.
    pub timeout_ms: u64,
    /// `ON_STORE_ERROR`.
    pub on_error: OnStoreError,
}

impl StoreSettings {
    /// The endpoint of a store that is reached over HTTP.
    pub fn rest(&self) -> Option<&OriginUrl> {
        match self.url.as_ref()?.place() {
            StorePlace::Rest(endpoint) => Some(endpoint),
            StorePlace::Redis(_) => None,
        }
    }

    /// The servers of a store that is reached by Redis's own protocol. Password and database are the URL's own where it has
    /// them.
    pub fn redis(&self) -> Option<RedisAddress> {
        let StorePlace::Redis(address) = self.url.as_ref()?.place() else { return None };
        let mut address = address.clone();
        address.login.password = address.login.password.or_else(|| self.password.clone());
        address.login.db = address.login.db.or(Some(self.db));
        Some(address)
    }
}

/// What happens to limits while the store is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStoreError {
    /// Limits are not enforced.
    Allow,
    /// 503.
    Deny,
    /// An in-process limiter stands in.
    #[default]
    Local,
}
