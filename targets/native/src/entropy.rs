//! Random bytes from the system, fetched many at a time.

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
    /// The next 48 bytes. Where the system has none to give, ids repeat rather than requests fail.
    pub fn take(&mut self) -> Entropy {
        if self.used + PER_REQUEST > self.bytes.len() {
            if let Err(error) = getrandom::fill(&mut self.bytes) {
                tracing::error!(%error, "the system gives no random bytes");
            }
            self.used = 0;
        }
        let mut entropy = Entropy::default();
        let mut draw = [0; 8];
        let mut rest = self.bytes.get(self.used..).unwrap_or_default();
        for part in [&mut entropy.request[..], &mut entropy.trace, &mut entropy.span, &mut draw] {
            if let Some((bytes, more)) = rest.split_at_checked(part.len()) {
                part.copy_from_slice(bytes);
                rest = more;
            }
        }
        entropy.draw = u64::from_le_bytes(draw);
        self.used += PER_REQUEST;
        entropy
    }
}

const PER_REQUEST: usize = 48;
const REQUESTS: usize = 64;
