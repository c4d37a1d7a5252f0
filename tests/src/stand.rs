//! The usual arrangement: a gateway in front of the origin, with a Redis or with its embedded store.

use http::Method;
use serde_json::Value;

use crate::{Gateway, Http, Origin, Redis, Target, http::Call};

/// All of it; ends with its handle.
pub struct Stand {
    /// The gateway; it stops first, so it has nobody to complain about.
    pub gateway: Gateway,
    /// What it fronts.
    pub origin: Origin,
    redis: Option<Redis>,
}

impl Stand {
    /// With a Redis of its own.
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::with_file(environment, None)
    }

    /// As [`Stand::start`], with the text of a `gateway.toml`.
    pub fn with_file(environment: &[(&str, &str)], file: Option<&str>) -> Self {
        Self::on(Redis::start(), environment, file)
    }

    /// As [`Stand::with_file`], on this Redis.
    pub fn on(redis: Redis, environment: &[(&str, &str)], file: Option<&str>) -> Self {
        let origin = Origin::start();
        let url = redis.url();
        let environment = [&[("REDIS_URL", url.as_str())], environment].concat();
        let gateway = Gateway::with_file(&[&origin.url()], &environment, file);
        Self { gateway, origin, redis: Some(redis) }
    }

    /// Without a Redis: the store is in the process; on targets where no memory is shared, with one all the same.
    pub fn embedded(environment: &[(&str, &str)]) -> Self {
        if Target::current() != Target::Native {
            return Self::start(environment);
        }
        let origin = Origin::start();
        let gateway = Gateway::start(&[&origin.url()], environment);
        Self { gateway, origin, redis: None }
    }

    /// One more gateway on the same Redis and origin.
    pub fn another(&self, environment: &[(&str, &str)]) -> Gateway {
        let url = self.redis().url();
        let environment = [&[("REDIS_URL", url.as_str())], environment].concat();
        Gateway::start(&[&self.origin.url()], &environment)
    }

    /// Whether there is no Redis.
    pub fn is_embedded(&self) -> bool {
        self.redis.is_none()
    }

    /// Its Redis.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().expect("a stand with Redis")
    }

    /// For requests to the gateway.
    pub fn http(&self) -> Http {
        self.gateway.http()
    }

    /// `GET` through the gateway.
    pub fn get(&self, path: &str) -> Call {
        self.http().get(path)
    }

    /// `POST` of JSON through the gateway.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.http().post(path, body)
    }

    /// Sets a switch of the origin: `fault?kind=slow&ms=100`.
    pub async fn switch(&self, switch: &str) {
        let answer = self.origin.http().call(Method::POST, &format!("/_test/{switch}")).send().await;
        assert_eq!(answer.status, 200, "{switch}: {}", answer.text());
    }

    /// Requests that reached the origin on this path.
    pub async fn reached(&self, path: &str) -> Vec<Value> {
        let seen = self.origin.seen().await.into_iter();
        seen.filter(|seen| seen["path"] == path).collect()
    }

    /// How many requests reached the origin, without health checks.
    pub async fn reached_in_all(&self) -> usize {
        self.origin.seen().await.iter().filter(|seen| seen["path"] != "/health").count()
    }
}
