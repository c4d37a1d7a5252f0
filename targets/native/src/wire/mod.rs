//! The client's side of a connection: raw bytes are checked before the HTTP parser sees them.
//!
//! [`Wire`] is an `AsyncRead` under the parser. It holds a head back until [`head`] has found it unambiguous, follows the
//! framing of bodies ([`chunks`]) to know where the next head begins, and lets body bytes pass without a copy of its own.
//! A head that is refused is replaced by a synthetic one that only the service of this connection understands.

pub mod chunks;
pub mod guard;
pub mod head;
pub mod watch;

pub use guard::{Protocol, Wire};
pub use watch::{Command, Watch};

#[cfg(test)]
mod tests;
