//! Bytes as text.

use alloc::string::String;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    push_hex(&mut out, bytes);
    out
}

/// Writes lower-case hex.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    for chunk in bytes.chunks(CHUNK) {
        let mut digits = [0; CHUNK * 2];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(chunk) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        let written = digits.get(..chunk.len().saturating_mul(2));
        // INVARIANT: digits are ASCII.
        out.push_str(written.and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default());
    }
}

/// Of a SHA-256.
const CHUNK: usize = 32;
