//! The store: over HTTP, or through the platform's own Redis client.

use acip_core::{
    config::{Secret, StoreSettings},
    store::{Batch, Cell as StoreCell, StoreError},
};
use acip_shell::store::RestStore;

#[cfg(feature = "spin")]
use crate::redis::Server;
use crate::rest::Endpoint;

/// How the instance reaches its store.
pub(crate) enum Store {
    /// Not at all: the instance's own memory.
    Embedded,
    /// Over HTTP.
    Rest(RestStore<Endpoint>),
    /// By the platform.
    #[cfg(feature = "spin")]
    Redis(Server),
    /// It cannot be; the reason is for the operator.
    Unusable(String),
}

impl Store {
    /// By its URL.
    pub(crate) fn open(settings: &StoreSettings) -> Self {
        let Some(url) = settings.url.as_ref().map(Secret::expose_secret) else { return Self::Embedded };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Self::by_protocol(url, settings);
        }
        let Some(token) = &settings.rest_token else {
            return Self::Unusable("a REST endpoint wants a token: set `UPSTASH_REDIS_REST_TOKEN`".into());
        };
        match RestStore::new(Endpoint::new(url, settings.timeout_ms), token) {
            Ok(store) => Self::Rest(store),
            Err(error) => Self::Unusable(error.to_string()),
        }
    }

    #[cfg(feature = "spin")]
    fn by_protocol(url: &str, settings: &StoreSettings) -> Self {
        Server::parse(url, settings).map_or_else(Self::Unusable, Self::Redis)
    }

    #[cfg(not(feature = "spin"))]
    fn by_protocol(_: &str, _: &StoreSettings) -> Self {
        Self::Unusable("this build reaches a store over HTTP alone; set `UPSTASH_REDIS_REST_URL`".into())
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded)
    }

    /// As `/gateway/health/detailed` names it.
    pub(crate) fn mode(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Rest(_) => "rest",
            #[cfg(feature = "spin")]
            Self::Redis(_) => "spin",
            Self::Unusable(_) => "none",
        }
    }

    /// Asks a batch.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        match self {
            Self::Rest(store) => store.ask(batch).await,
            #[cfg(feature = "spin")]
            Self::Redis(server) => server.ask(batch).await,
            Self::Embedded => Err(StoreError::Down("no store is configured".into())),
            Self::Unusable(reason) => Err(StoreError::Down(reason.clone())),
        }
    }

    /// Commands sent since this was last called.
    pub(crate) fn take_count(&self) -> u64 {
        match self {
            Self::Rest(store) => store.fetch().sent.take(),
            #[cfg(feature = "spin")]
            Self::Redis(server) => server.sent.take(),
            Self::Embedded | Self::Unusable(_) => 0,
        }
    }
}
