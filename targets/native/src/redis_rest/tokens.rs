//! Who may ask: the tokens and what each opens.

use acip_core::config::Secret;
use http::{HeaderMap, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Every command that the policy lets through.
    Full,
    /// Of these, commands that only read.
    ReadOnly,
}

/// The tokens that are accepted. Neither is ever shown.
pub struct Tokens {
    /// Opens [`Right::Full`].
    pub full: Secret,
    /// Opens [`Right::ReadOnly`].
    pub read_only: Option<Secret>,
}

impl Tokens {
    /// The right of a request; none where it shows no token, or a wrong one. `Authorization: Bearer` counts before the
    /// parameter `_token`.
    pub(super) fn right(&self, headers: &HeaderMap, parameter: Option<&[u8]>) -> Option<Right> {
        let shown = match headers.get(AUTHORIZATION) {
            Some(value) => bearer(value.as_bytes())?,
            None => parameter?,
        };
        let equal = |token: &Secret| bool::from(token.expose_secret().as_bytes().ct_eq(shown));
        // Both are compared, whichever fits.
        let (full, read_only) = (equal(&self.full), self.read_only.as_ref().is_some_and(equal));
        match (full, read_only) {
            (true, _) => Some(Right::Full),
            (false, true) => Some(Right::ReadOnly),
            (false, false) => None,
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| rest.trim_ascii())
}

const BEARER: &[u8] = b"bearer ";
