use alloc::string::ToString;

use super::*;

#[test]
fn names_are_chosen_by_the_query() {
    for (query, expected) in [
        ("name=gateway:job:*", Ok("gateway:job:submitted,gateway:job:completed,gateway:job:failed")),
        ("name=gateway%3Aauth%3Arejected", Ok("gateway:auth:rejected")),
        ("name=gateway:cache:hit,gateway:cache:miss", Ok("gateway:cache:hit,gateway:cache:miss")),
        ("name=gateway:cache:hit&name=gateway:plugin:error", Ok("gateway:cache:hit,gateway:plugin:error")),
        (
            "name=gateway:job:submited",
            Err("`gateway:job:submited` is no event; did you mean `gateway:job:submitted`?"),
        ),
        ("name=jobs:*", Err("`jobs:*` is no event")),
        ("names=a", Err("`names` is no parameter of this page; it has `name`")),
        ("name=%ff", Err("`name` is not UTF-8")),
    ] {
        let read = Wanted::read(query).map(|wanted| wanted.to_string());
        assert_eq!(read, expected.map(String::from).map_err(String::from), "{query}");
    }
    for query in ["", "name=", "name=*"] {
        assert!(NAMES.iter().all(|name| Wanted::read(query).unwrap().admits(name)), "{query}");
    }
}
