//! Decides recordings again.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::{String, ToString},
    sync::Arc,
};
use sha2::{Digest as _, Sha256};

use super::{
    Recording,
    line::{Line, LineError, RequestLine},
    transcript,
};
use crate::{
    config::{Document, Format, Platform, Source},
    explain::{self, Explanation},
    gateway::Gateway,
    hex::hex,
    outcome::Epilogue,
};

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Everything that was decided, as text: one line per fact.
    pub transcript: String,
    /// SHA-256 of it, in hexadecimal.
    pub digest: String,
    /// What is left to do.
    pub epilogue: Epilogue,
}

/// Decides a recording again.
pub fn replay(gateway: &Arc<Gateway>, recording: Recording) -> Replayed {
    let (transcript, epilogue) = transcript::of(gateway, recording);
    let digest = hex(&Sha256::digest(transcript.as_bytes()));
    Replayed { transcript, digest, epilogue }
}

/// Why a file cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A line that is no recording.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A document that does not compile.
    #[error("the recorded document does not compile: {0}")]
    Document(String),
    /// A recording before its document.
    #[error("no line before this one holds the document `{0}`; replay the file from its beginning")]
    Unknown(String),
    /// The decision is another one than was recorded.
    #[error("decided `{now}`, but `{recorded}` was recorded")]
    Differs {
        /// What was recorded.
        recorded: String,
        /// What comes out now.
        now: String,
    },
}

/// Reads a file line by line. One digest over all decisions tells whether two targets decided alike.
#[derive(Default)]
pub struct Replayer {
    gateways: BTreeMap<String, Arc<Gateway>>,
    /// Their names, the oldest first.
    order: VecDeque<String>,
    digest: Sha256,
    requests: u64,
}

impl Replayer {
    /// Reads the next line; none for one that only holds a document.
    ///
    /// # Errors
    /// See [`ReplayError`]. A decision that differs counts in the digest all the same.
    pub fn line(&mut self, text: &str) -> Result<Option<Replayed>, ReplayError> {
        let Some((gateway, line)) = self.read(text)? else { return Ok(None) };
        let recorded = line.decision.clone();
        let told = replay(&gateway, line.recording()?);
        self.digest.update(told.digest.as_bytes());
        self.requests = self.requests.saturating_add(1);
        if told.digest != recorded {
            return Err(ReplayError::Differs { recorded, now: told.digest });
        }
        Ok(Some(told))
    }

    /// A recorded request with the gateway of its document; none for a line that holds a document, which is kept.
    fn read(&mut self, text: &str) -> Result<Option<(Arc<Gateway>, RequestLine)>, ReplayError> {
        let line = match Line::read(text)? {
            Line::Document { version, document } => {
                self.document(version, &document.to_string())?;
                return Ok(None);
            }
            Line::Request(line) => *line,
        };
        let gateway = self.gateways.get(&line.under).cloned();
        let gateway = gateway.ok_or_else(|| ReplayError::Unknown(line.under.clone()))?;
        Ok(Some((gateway, line)))
    }

    fn document(&mut self, version: String, text: &str) -> Result<(), ReplayError> {
        let gateway = compile(text).map_err(ReplayError::Document)?;
        if self.gateways.insert(version.clone(), Arc::new(gateway)).is_none() {
            self.order.push_back(version);
        }
        if self.order.len() > MOST_DOCUMENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.gateways.remove(&oldest);
        }
        Ok(())
    }

    /// Why a line was decided as it was; none for one that only holds a document.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn explain(&mut self, text: &str) -> Result<Option<Explanation>, ReplayError> {
        let Some((gateway, line)) = self.read(text)? else { return Ok(None) };
        Ok(Some(explain::explain(&gateway, line.recording()?)))
    }

    /// The gateway of a document that was read.
    pub fn gateway(&self, version: &str) -> Option<&Arc<Gateway>> {
        self.gateways.get(version)
    }

    /// How many requests were decided.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// SHA-256 over all decisions so far, in hexadecimal.
    pub fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

pub(super) fn compile(text: &str) -> Result<Gateway, String> {
    let source = Source { name: "document", text, format: Format::Json };
    let document = Document::read(Some(source), [], Platform::Native).map_err(|errors| errors.to_string())?;
    Gateway::compile(document).map_err(|error| error.to_string())
}

/// As many documents as a file may switch between: the configuration of a process changes rarely, but in the log of a
/// platform each instance has a document of its own.
const MOST_DOCUMENTS: usize = 64;
