//! The store's address as the platform's client takes it: one URL that holds password and database, too.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The URL with this password and database, where it has none of its own.
///
/// # Errors
/// A scheme that the client does not speak; never the URL itself.
pub(crate) fn complete(url: &str, password: Option<&str>, db: u32) -> Result<String, String> {
    let Some((scheme @ ("redis" | "rediss"), rest)) = url.split_once("://") else {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        return Err(format!("no store client for `{scheme}://`; use `redis://`, `rediss://` or `https://`"));
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    let (mut user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user.to_owned(), host),
        None => (String::new(), authority),
    };
    if let Some(password) = password.filter(|_| !user.contains(':')) {
        let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
        user = format!("{user}:{password}");
    }
    let db = if path.is_empty() { db.to_string() } else { path.to_owned() };
    let at = if user.is_empty() { "" } else { "@" };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{user}{at}{host}/{db}{query}"))
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn password_and_database_are_put_in_where_there_are_none() {
        for (url, password, db, expected) in [
            ("redis://a", None, 0, "redis://a/0"),
            ("redis://a:1/", None, 2, "redis://a:1/2"),
            ("rediss://a:1", Some("p"), 2, "rediss://:p@a:1/2"),
            ("redis://a:1/5", Some("p@s/s:w?%"), 2, "redis://:p%40s%2Fs%3Aw%3F%25@a:1/5"),
            ("redis://u@a:1", Some("p"), 0, "redis://u:p@a:1/0"),
            ("redis://u:q@a:1/3", Some("p"), 2, "redis://u:q@a:1/3"),
            ("redis://:q%40@a:1", Some("p"), 2, "redis://:q%40@a:1/2"),
            ("redis://[::1]:1?protocol=resp3", None, 1, "redis://[::1]:1/1?protocol=resp3"),
        ] {
            assert_eq!(complete(url, password, db).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_refusal_names_the_scheme_and_nothing_else() {
        for (url, scheme) in [
            ("unix://u:MARKED@a", "`unix://`"),
            ("redis-cluster://a", "`redis-cluster://`"),
            ("MARKED", "`://`"),
        ] {
            let told = complete(url, Some("MARKED"), 0).expect_err(url);
            assert!(told.contains(scheme) && !told.contains("MARKED"), "{told}");
        }
    }
}
