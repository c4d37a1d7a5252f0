//! Which version a stored configuration is, from its first bytes alone. `script.lua` reads them the same way.

/// The version with which a text begins: `{"version":7,`. Anything else, nothing at all included, is version 0.
pub fn version_of(text: &[u8]) -> u64 {
    let digits = text.strip_prefix(HEAD).and_then(|rest| {
        let end = rest.iter().take(MAX_DIGITS + 1).position(|byte| *byte == b',')?;
        rest.get(..end)
    });
    digits.filter(|digits| digits.first() != Some(&b'0')).and_then(whole).unwrap_or(0)
}

fn whole(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

const HEAD: &[u8] = b"{\"version\":";
/// What the script's numbers hold exactly.
const MAX_DIGITS: usize = 15;
