use super::*;

fn check(entry: &str, scheme: &str, host: &str, port: Option<u16>, expected: bool) {
    let hosts = AllowedHosts::parse([entry.to_owned()]).unwrap();
    assert_eq!(hosts.allow(scheme, host, port), expected, "{entry}: {scheme} {host} {port:?}");
}

#[test]
fn entries() {
    check("http://localhost:8000", "http", "localhost", Some(8000), true);
    check("http://localhost:8000", "http", "LOCALHOST", Some(8000), true);
    check("http://localhost:8000", "http", "localhost", Some(8001), false);
    check("http://localhost:8000", "https", "localhost", Some(8000), false);
    check("http://localhost", "http", "localhost", None, true);
    check("http://localhost", "http", "localhost", Some(81), false);
    check("https://*.example.com", "https", "a.example.com", None, true);
    check("https://*.example.com", "https", "example.com", None, false);
    check("*://*:*", "redis", "anything", None, true);
    check("http://[::1]:80", "http", "[::1]", None, true);
    check("http://127.0.0.1:*", "http", "127.0.0.1", Some(5), true);
}

#[test]
fn entries_that_stop_the_start() {
    for entry in
        ["", "*", "localhost", "http://localhost/path", "ftp://localhost", "http://a b", "http://h:x"]
    {
        assert!(AllowedHosts::parse([entry.to_owned()]).is_err(), "{entry}");
    }
}

#[test]
fn urls_with_credentials() {
    let hosts = AllowedHosts::parse(["redis://127.0.0.1:6379".to_owned()]).unwrap();
    for (url, expected) in [
        ("redis://127.0.0.1:6379/0", true),
        ("redis://:secret@127.0.0.1/0", true),
        ("redis://127.0.0.1:6380", false),
        ("rediss://127.0.0.1:6379", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(hosts.allow_url(url), expected, "{url}");
    }
}
