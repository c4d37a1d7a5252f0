//! `TRACE_RECORD` where a build has no files: recordings go to the platform's log, one line of JSON each, told from other
//! lines by [`MARK`]. `acip-gateway replay --log FILE` picks them out of what the platform hands over.
//!
//! Secrets are hidden before a line is made, as in a file; the document is in front of an instance's first recording.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use acip_core::{
    Gateway,
    config::LogLevel,
    telemetry::notice,
    trace::{Concealed, Pseudonyms, Recording, line::Line},
};

/// How the line of a recording begins; the recording follows, and one brace that closes.
pub const MARK: &str = "{\"recording\":";

/// What one instance has recorded so far.
pub(crate) struct Records {
    /// Bytes that may still be written; 0: recording is off, or has ended.
    left: Cell<u64>,
    concealed: RefCell<Option<Concealed>>,
}

impl Records {
    /// At most so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Cell::new(bytes), concealed: RefCell::new(None) }
    }

    /// Whether requests are recorded.
    pub(crate) fn on(&self) -> bool {
        self.left.get() > 0
    }

    /// Lines for the log. The key hides secrets for the life of this instance; it is asked for once.
    pub(crate) fn lines(
        &self,
        gateway: &Arc<Gateway>,
        recording: Recording,
        now_ms: u64,
        key: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Vec<String> {
        if !self.on() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let mut concealed = self.concealed.borrow_mut();
        if concealed.is_none() {
            let Some(key) = key() else { return self.end(now_ms, "the platform gives no random bytes") };
            match Concealed::new(gateway, Pseudonyms::new(key)) {
                Ok(made) => {
                    lines.push(marked(&made.document()));
                    *concealed = Some(made);
                }
                Err(error) => return self.end(now_ms, &error.to_string()),
            }
        }
        if let Some(concealed) = &*concealed {
            lines.push(marked(&concealed.conceal(recording)));
        }
        let bytes = lines.iter().map(|line| line.len() as u64).sum();
        match self.left.get().checked_sub(bytes) {
            Some(left) if left > 0 => {
                self.left.set(left);
                lines
            }
            _ => self.end(now_ms, "the instance has recorded TRACE_MAX_BYTES"),
        }
    }

    fn end(&self, now_ms: u64, reason: &str) -> Vec<String> {
        self.left.set(0);
        vec![notice::json_line(now_ms, LogLevel::Warn, "recording has ended", Some(reason))]
    }
}

fn marked(line: &Line) -> String {
    format!("{MARK}{}}}", line.write())
}
