use alloc::{format, string::String, vec, vec::Vec};

use super::{RedisAddress, RedisServer, RedisServers, Secret, StorePlace, StoreUrl, resp};
use crate::config::{Document, StoreSettings};

fn servers(hosts: &[(&str, u16)]) -> Vec<RedisServer> {
    hosts.iter().map(|(host, port)| RedisServer { host: (*host).into(), port: *port }).collect()
}

fn redis(url: &str) -> RedisAddress {
    match StoreUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).place {
        StorePlace::Redis(address) => address,
        StorePlace::Rest(_) => panic!("{url} is no endpoint"),
    }
}

#[test]
fn servers_of_every_kind() {
    let one = |host, port| RedisServers::One(servers(&[(host, port)]).remove(0));
    for (url, expected, tls) in [
        ("redis://a", one("a", 6379), false),
        ("rediss://A:1/0?protocol=resp3", one("a", 1), true),
        ("redis://u:p@[::1]", one("::1", 6379), false),
        ("redis+unix:///run/a%20b.sock?db=1", RedisServers::Socket("/run/a b.sock".into()), false),
        ("redis-cluster://a:1,b", RedisServers::Cluster(servers(&[("a", 1), ("b", 6379)])), false),
        (
            "rediss-sentinel://a,[::1]:2/main/3",
            RedisServers::Sentinels {
                sentinels: servers(&[("a", 26379), ("::1", 2)]),
                service: "main".into(),
            },
            true,
        ),
    ] {
        let address = redis(url);
        assert_eq!((address.servers, address.tls), (expected, tls), "{url}");
    }
    assert_eq!(
        servers(&[("::1", 1), ("a", 1)]).iter().map(RedisServer::url_host).collect::<Vec<_>>(),
        ["[::1]", "a"]
    );
    for url in ["https://a/b/", "HTTP://a"] {
        let url = StoreUrl::parse(url).expect("a URL");
        assert!(matches!(url.place, StorePlace::Rest(_)), "{url:?}");
    }
}

/// The settings' own password and database count where the URL has none.
#[test]
fn what_is_said_first_is_the_urls_own_or_the_settings() {
    for (url, password, db, words) in [
        ("redis://a", None, 0, vec![]),
        ("redis://a/0", None, 2, vec![]),
        ("rediss://a:1/", None, 2, vec![vec!["SELECT", "2"]]),
        ("redis://[::1]:1", Some("p"), 0, vec![vec!["AUTH", "p"]]),
        ("redis://u@a", Some("p"), 3, vec![vec!["AUTH", "u", "p"], vec!["SELECT", "3"]]),
        ("redis://u@a", None, 0, vec![]),
        ("redis://u%40:q%2F%C3%BC@a/5", Some("p"), 3, vec![vec!["AUTH", "u@", "q/ü"], vec!["SELECT", "5"]]),
        (
            "redis+unix:///s?db=7&user=u&pass=%40",
            Some("p"),
            1,
            vec![vec!["AUTH", "u", "@"], vec!["SELECT", "7"]],
        ),
        ("redis-sentinel://:p@a/main", Some("q"), 1, vec![vec!["AUTH", "p"], vec!["SELECT", "1"]]),
        ("redis-cluster://u:p@a,b", None, 0, vec![vec!["AUTH", "u", "p"]]),
    ] {
        let settings = StoreSettings {
            url: Some(StoreUrl::parse(url).expect(url)),
            password: password.map(Secret::new),
            db,
            ..Document::default().store
        };
        let address = settings.redis().expect(url);
        let (mut said, mut expected) = (Vec::new(), Vec::new());
        let answers = address.login.encode(&mut said);
        words.iter().for_each(|words| resp::encode(words, &mut expected));
        assert_eq!((String::from_utf8(said), answers), (String::from_utf8(expected), words.len()), "{url}");
    }
}

#[test]
fn nothing_shows_a_secret() {
    for url in ["redis://u:MARKED@a/1", "redis+unix:///s?pass=MARKED"] {
        let shown = format!("{:?}", StoreUrl::parse(url).expect(url));
        assert!(!shown.contains("MARKED"), "{shown}");
    }
    for url in [
        "unix://u:MARKED@a",
        "redis://u:MARKED@a/MARKED",
        "redis:MARKED",
        "MARKED",
        "redis://u:MARKED@a:port",
        "redis://u:MARKED%zz@a",
        "redis://u:MARKED@a,b",
        "redis-sentinel://u:MARKED@a",
        "https://u:MARKED@a",
        "rediss://u:MARKED@a?insecure=true",
    ] {
        let told = StoreUrl::parse(url).expect_err(url);
        assert!(!told.contains("MARKED"), "{url}: {told}");
    }
}
