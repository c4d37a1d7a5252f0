//! The document of somebody who configured nothing. Values are in the table of `settings.rs`.

use alloc::{borrow::ToOwned, collections::BTreeMap, vec, vec::Vec};
use core::num::NonZeroU32;

use super::model::*;

impl Default for Document {
    /// No file and an empty environment, on a native server.
    fn default() -> Self {
        Self {
            server: Server::default(),
            origins: vec![Origin::default()],
            upstream: Upstream::default(),
            store: StoreSettings::default(),
            auth: Auth::default(),
            rate_limit: RateLimit::default(),
            limits: Vec::new(),
            cache: Cache::default(),
            router: Router::default(),
            metrics: Metrics::default(),
            otel: Otel::default(),
            log: Log::default(),
            cors: Cors::default(),
            events: Events::default(),
            identity: Identity::default(),
            regions: Regions::default(),
            routes: Vec::new(),
            rules: Vec::new(),
            workers_format: WorkersFormat::default(),
            plugins: BTreeMap::new(),
        }
    }
}

impl Default for Origin {
    /// Where the backend listens when it is started by hand on the same machine.
    fn default() -> Self {
        Self {
            name: "localhost:8000".to_owned(),
            url: OriginUrl { tls: false, host: "localhost".to_owned(), port: 8000, prefix: "".to_owned() },
            region: None,
            weight: NonZeroU32::MIN,
        }
    }
}
