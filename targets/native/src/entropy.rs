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
        let next = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk());
        // INVARIANT: the supply holds whole portions.
        let entropy = Entropy::from_bytes(*next.unwrap_or(&[0; PER_REQUEST]));
        self.used += PER_REQUEST;
        entropy
    }
}

const PER_REQUEST: usize = 48;
const REQUESTS: usize = 64;
