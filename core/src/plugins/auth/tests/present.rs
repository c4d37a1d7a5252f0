//! Credentials as they come in fields.

use alloc::{format, string::String, vec};

use crate::{
    config::{Document, Secret, StaticKey},
    plugins::{
        auth::{AuthSettings, Presented, present, stored_form},
        fixture::{document, head},
    },
};

const SALT: &str = "distributed-gpu-inference-v1";

fn keyed() -> Document {
    let mut document = document();
    let key = |name: &str, key: &str| StaticKey { name: name.into(), key: Secret::new(key) };
    document.auth.api_keys = vec![key("one", "k-1"), key("two", "k-2"), key("again", "k-2")];
    document.auth.admin_token = Some(Secret::new("root"));
    document
}

fn read(fields: &[(&str, &str)]) -> Result<Presented, u16> {
    let settings = AuthSettings::compile(&keyed());
    present(&settings, &head("GET", "/", fields).headers).map_err(|refusal| refusal.code.status().as_u16())
}

#[test]
fn stored_forms() {
    for (token, stored) in [
        ("tok-demo-0001", "0077f5c578dd2db4878cc23c650c2ec600a4f6506aebc538da05c72bcdfe777c"),
        (
            "Zk3v9QXy1mJ0c2l5b8w7R4tA6uE_-dFhGiKoPqSs",
            "b0b90abf6a715342d4a88143ff4869e353460f496b35b81276a55de9f915aa07",
        ),
        ("токен-ü-密钥", "7a095a470bdaaf7fdaaf5531ee6984bc44ade1039f17da1268fd097b385edd61"),
        (
            "ent_0123456789abcdefghijABCDEFGHIJ_-0123456789",
            "431cec24816b314a914f24c38736dd0a26f23e5375ce67f3bf09f08c1f35d3ce",
        ),
        ("ent_demo", "b945e71f0782976da01e09aead80e71ffa70e21b80549900de340e0144e3bea5"),
    ] {
        assert_eq!(stored_form(SALT, token), stored);
        for (name, value) in [
            ("x-api-key", String::from(token)),
            ("x-worker-token", String::from(token)),
            ("authorization", format!("bEaReR  {token} ")),
        ] {
            assert_eq!(read(&[(name, &value)]).unwrap().stored, stored);
        }
    }
    // What an old document claims: without the colon.
    let legacy = "1b4d77fbed1b15cab3ca1571cbb836334bd7bedf8f520e0b035dfd7b87517d35";
    assert_ne!(stored_form(SALT, "tok-demo-0001"), legacy);
}

#[test]
fn which_credential() {
    let check = |fields: &[(&str, &str)], expected: Result<&str, u16>| {
        let expected = expected.map(|token| match token {
            "" => String::new(),
            token => stored_form(SALT, token),
        });
        assert_eq!(read(fields).map(|presented| presented.stored), expected, "{fields:?}");
    };
    check(&[], Ok(""));
    check(&[("authorization", "Basic dTpw")], Ok(""));
    check(&[("authorization", "Basic dTpw"), ("x-api-key", "a")], Ok("a"));
    check(&[("x-api-key", "a"), ("x-worker-token", "a"), ("authorization", "Bearer a")], Ok("a"));
    check(&[("x-api-key", "a"), ("x-worker-token", "b")], Err(400));
    check(&[("x-worker-token", "a"), ("authorization", "Bearer b")], Err(400));
    check(&[("x-api-key", "a"), ("x-api-key", "b")], Err(400));
    check(&[("x-api-key", "a, a")], Ok("a"));
    check(&[("x-api-key", "a, b")], Err(400));
    check(&[("x-api-key", "a,b")], Ok("a,b"));
    check(&[("x-api-key", "")], Err(400));
    check(&[("x-worker-token", "  ")], Err(400));
    check(&[("authorization", "Bearer")], Err(400));
    check(&[("authorization", "Bearer a b")], Err(400));
    check(&[("authorization", "Bearer a, Bearer b")], Err(400));
    let mut latin = head("GET", "/", &[]);
    latin.headers.insert("x-api-key", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
    assert!(present(&AuthSettings::compile(&keyed()), &latin.headers).is_err());
}

#[test]
fn configured_credentials() {
    let flags = |token: &str| {
        let presented = read(&[("x-api-key", token)]).unwrap();
        (presented.is_admin_token, presented.static_key)
    };
    assert_eq!(flags("root"), (true, None));
    assert_eq!(flags("k-1"), (false, Some(0)));
    assert_eq!(flags("k-2"), (false, Some(1)));
    assert_eq!(flags("k-3"), (false, None));
}

#[test]
fn never_formatted() {
    let presented = read(&[("x-api-key", "k-1")]).unwrap();
    let shown = format!("{presented:?} {:?}", AuthSettings::compile(&keyed()));
    assert!(!shown.contains("k-1") && !shown.contains(&presented.stored), "{shown}");
}
