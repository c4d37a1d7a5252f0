//! Which version a stored configuration is, from its first bytes alone. `script.lua` reads them the same way.

/// The version with which a text begins: `{"version":7,`. Nothing at all is version 0, and what begins otherwise
/// [`NO_VERSION`]: whoever has seen that must hear of it when the key is deleted.
pub fn version_of(text: &[u8]) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let digits = text.strip_prefix(HEAD).and_then(|rest| {
        let end = rest.iter().take(MAX_DIGITS + 1).position(|byte| *byte == b',')?;
        rest.get(..end)
    });
    digits
        .filter(|digits| digits.first().is_some_and(|first| *first != b'0'))
        .and_then(whole)
        .unwrap_or(NO_VERSION)
}

fn whole(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

/// Above every version.
pub const NO_VERSION: u64 = 1_000_000_000_000_000;
const HEAD: &[u8] = b"{\"version\":";
/// What the script's numbers hold exactly.
const MAX_DIGITS: usize = 15;
