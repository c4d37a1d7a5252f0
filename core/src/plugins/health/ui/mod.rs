//! The dashboard: one page that holds no figure of its own. Everyone may load it; what it shows it asks from the other pages,
//! with the token that its reader types. It runs no code and loads nothing but what stands in it.

use alloc::{format, string::String};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::verdict::Answer;

/// `/gateway/ui`.
pub(super) fn answer() -> Answer {
    let body = PAGE.replacen("{style}", STYLE, 1).replacen("{script}", SCRIPT, 1);
    let mut answer = super::text(HeaderValue::from_static("text/html; charset=utf-8"), body);
    answer.status = StatusCode::OK;
    // INVARIANT: base64 and fixed words are a field value.
    if let Ok(policy) = HeaderValue::try_from(policy()) {
        answer.headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

/// Content Security Policy Level 3: this script, this style, this host.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(SCRIPT),
        source(STYLE),
    )
}

fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_names_no_other_host() {
        let answer = answer();
        let page = core::str::from_utf8(&answer.body).expect("text");
        assert!(page.contains(STYLE) && page.contains(SCRIPT) && page.ends_with("</html>\n"));
        // The one address in it is the name of a vocabulary.
        let named = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!named.contains("://") && !named.contains("style=\""), "nothing that the policy forbids");
        let policy = answer.headers["content-security-policy"].to_str().expect("text");
        assert_eq!(policy.matches("'sha256-").count(), 2);
    }
}
