//! Random bytes from the system, fetched many at a time.

use std::fmt::Display;

use acip_core::facts::Entropy;

/// Bytes fetched ahead; each is given out once.
pub struct Supply {
    bytes: Box<[u8]>,
    used: usize,
}

impl Default for Supply {
    fn default() -> Self {
        Self { bytes: vec![0; PER_REQUEST * REQUESTS].into_boxed_slice(), used: PER_REQUEST * REQUESTS }
    }
}

impl Supply {
    /// The next 48 bytes; none where the system has none to give. It is asked again the next time.
    pub fn take(&mut self) -> Option<Entropy> {
        self.take_from(getrandom::fill)
    }

    fn take_from<E: Display>(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Option<Entropy> {
        if self.used + PER_REQUEST > self.bytes.len() {
            if let Err(error) = fill(&mut self.bytes) {
                tracing::error!(%error, "the system gives no random bytes");
                return None;
            }
            self.used = 0;
        }
        let next = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk())?;
        self.used += PER_REQUEST;
        Some(Entropy::from_bytes(*next))
    }
}

const PER_REQUEST: usize = 48;
const REQUESTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_out_twice_where_the_system_has_no_more() {
        let mut supply = Supply::default();
        assert_eq!(supply.take_from(|_| Err("none")), None);
        let mut next = 0;
        let mut fill = |bytes: &mut [u8]| {
            for byte in bytes.chunks_mut(PER_REQUEST) {
                next += 1;
                byte.fill(next);
            }
            Ok::<(), &str>(())
        };
        for portion in 1..=REQUESTS {
            let given = supply.take_from(&mut fill).map(|entropy| usize::from(entropy.span[0]));
            assert_eq!(given, Some(portion));
        }
        assert_eq!(supply.take_from(|_| Err("none")), None);
        assert!(supply.take_from(&mut fill).is_some());
    }
}
