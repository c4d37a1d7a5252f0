//! The store's address as the platform's client takes it: one URL that holds password and database, too.

use acip_core::config::{RedisAddress, Secret};
use acip_shell::store::one_server;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The URL of the one server at an address.
///
/// # Errors
/// An address of several servers.
pub(crate) fn url(address: RedisAddress) -> Result<String, String> {
    let RedisAddress { servers, tls, login } = address;
    let server = one_server(servers)?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let user = login.user.as_deref().map(encoded).unwrap_or_default();
    let user = match login.password.as_ref().map(Secret::expose_secret) {
        Some(password) => format!("{user}:{}@", encoded(password)),
        None => String::new(),
    };
    let scheme = if tls { "rediss" } else { "redis" };
    let (host, port, db) = (server.url_host(), server.port, login.db.unwrap_or_default());
    Ok(format!("{scheme}://{user}{host}:{port}/{db}"))
}

#[cfg(test)]
mod tests {
    use acip_core::config::{StorePlace, StoreUrl};

    use super::url;

    #[test]
    fn one_url_says_all() {
        for (text, expected) in [
            ("redis://a", "redis://a:6379/0"),
            ("rediss://:p@a:1/2", "rediss://:p@a:1/2"),
            ("redis://u%40:p%2Fs@[::1]:1/5?protocol=resp3", "redis://u%40:p%2Fs@[::1]:1/5"),
        ] {
            let parsed = StoreUrl::parse(text).expect(text);
            let StorePlace::Redis(address) = parsed.place() else { panic!("{text}") };
            assert_eq!(url(address.clone()).as_deref(), Ok(expected), "{text}");
        }
        let several = StoreUrl::parse("redis-cluster://u:MARKED@a").expect("a URL");
        let StorePlace::Redis(address) = several.place() else { panic!("servers") };
        let told = url(address.clone()).expect_err("several");
        assert!(told.contains("`redis-cluster://`") && !told.contains("MARKED"), "{told}");
    }
}
