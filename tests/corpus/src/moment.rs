//! Times as cases write them: `10s`, `-250ms`, `1h`, counted from the start of the case.

use serde::Deserialize;

/// A length of time in ms, forwards or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub i64);

/// When every case begins: 2026-01-01T00:00:00Z, a border of every window that divides a day.
pub(crate) const START_MS: u64 = 1_767_225_600_000;

impl Span {
    /// Reads `10s`, `-250ms`, `1h+5s`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let mut sum = 0_i64;
        for part in text.split('+') {
            let digits = part.find(|it: char| !it.is_ascii_digit())?;
            let (number, unit) = part.split_at(digits);
            let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
            sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        }
        Some(Self(sum * sign))
    }

    /// The moment this long after the start, unix ms.
    pub(crate) fn moment_ms(self) -> u64 {
        START_MS.saturating_add_signed(self.0)
    }

    /// As a length that does not go back.
    pub(crate) fn ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::read(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no time: write `10s`, `-250ms`, `1h+5s`"))
        })
    }
}

const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        let cases = [
            ("10s", Some(10_000)),
            ("-250ms", Some(-250)),
            ("1h+5s", Some(3_605_000)),
            ("0s", Some(0)),
            ("10", None),
            ("s", None),
            ("", None),
            ("1w", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Span::read(text).map(|span| span.0), expected, "{text}");
        }
    }
}
