//! The store's address, read from its URL: where to connect, and what is said first on a connection.

use acip_core::store::resp;
use percent_encoding::percent_decode_str;
#[cfg(not(target_arch = "wasm32"))]
use url::Url;
#[cfg(target_arch = "wasm32")]
use worker::Url;

/// A server, and how to log in. No `Debug`: it holds a password.
pub(crate) struct Address {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `AUTH` and `SELECT`, as far as they are needed, already written.
    pub(crate) login: Vec<u8>,
    /// Answers to those.
    pub(crate) logins: usize,
}

impl Address {
    /// Reads a URL; this password and database count where it has none of its own.
    ///
    /// # Errors
    /// What is wrong with the URL, for the operator; never the URL itself.
    pub(crate) fn parse(url: &str, password: Option<&str>, db: u32) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the store's url does not parse: {error}"))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            other => {
                return Err(format!(
                    "no store client for `{other}://`; use `redis://`, `rediss://` or `https://`"
                ));
            }
        };
        let host = url.host_str().ok_or("the store's url names no host")?.to_owned();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = url.password().map(decoded).or_else(|| password.map(str::to_owned));
        let path = url.path().trim_matches('/');
        let db = if path.is_empty() {
            db
        } else {
            path.parse().map_err(|_| "the store's database is no number")?
        };
        let mut login = Vec::new();
        let mut logins = 0;
        if let Some(password) = password {
            let user = decoded(url.username());
            let words =
                if user.is_empty() { vec!["AUTH", &password] } else { vec!["AUTH", &user, &password] };
            resp::encode(&words, &mut login);
            logins += 1;
        }
        if db != 0 {
            resp::encode(&["SELECT", &db.to_string()], &mut login);
            logins += 1;
        }
        Ok(Self { tls, host, port: url.port().unwrap_or(6379), login, logins })
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, resp};

    #[test]
    fn what_is_said_first_is_the_urls_own_or_the_settings() {
        for (url, password, db, place, words) in [
            ("redis://a", None, 0, (false, "a", 6379), vec![]),
            ("redis://a:1/0", None, 2, (false, "a", 1), vec![]),
            ("rediss://a:1/", None, 2, (true, "a", 1), vec![vec!["SELECT", "2"]]),
            ("redis://[::1]:1", Some("p"), 0, (false, "[::1]", 1), vec![vec!["AUTH", "p"]]),
            (
                "redis://u@a",
                Some("p"),
                3,
                (false, "a", 6379),
                vec![vec!["AUTH", "u", "p"], vec!["SELECT", "3"]],
            ),
            (
                "redis://u%40:q%2F%C3%BC@a/5",
                Some("p"),
                3,
                (false, "a", 6379),
                vec![vec!["AUTH", "u@", "q/ü"], vec!["SELECT", "5"]],
            ),
        ] {
            let address = Address::parse(url, password, db).unwrap_or_else(|error| panic!("{url}: {error}"));
            let mut login = Vec::new();
            words.iter().for_each(|words| resp::encode(words, &mut login));
            assert_eq!((address.tls, address.host.as_str(), address.port), place, "{url}");
            assert_eq!((address.login, address.logins), (login, words.len()), "{url}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_no_secret() {
        for (url, reason) in [
            ("unix://u:MARKED@a", "`unix://`"),
            ("redis://u:MARKED@a/MARKED", "database"),
            ("redis:MARKED", "host"),
            ("MARKED", "parse"),
            ("redis://u:MARKED@a:port", "parse"),
        ] {
            let Err(told) = Address::parse(url, Some("MARKED"), 0) else { panic!("{url} is taken") };
            assert!(told.contains(reason) && !told.contains("MARKED"), "{url}: {told}");
        }
    }
}
