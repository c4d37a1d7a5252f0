//! What a build cannot do. A test that needs it begins with `if !supported(&[Feature::…]) { return; }`. Each [`Feature`] is a row of
//! `docs/targets.md`, which is held against this file.

use std::{fs::OpenOptions, io::Write as _};

use crate::{Target, Transport};

/// What some target lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The native server's own: command line, signals, a file that is read again.
    Process,
    /// The gateway ends TLS itself.
    Tls,
    /// The gateway reads the bytes of HTTP itself, so that malformed ones are its business.
    Wire,
    /// HTTP/2 from clients without TLS.
    H2c,
    /// WebSocket upgrades pass.
    Upgrades,
    /// All requests of a gateway see one memory, without a Redis.
    SharedMemory,
    /// Between requests, origins are checked, and Redis is searched (`SCAN`) for workers that did not register through a gateway.
    ActiveChecks,
    /// Request bodies are streamed, and may be large.
    StreamedUploads,
    /// The client's address is the other end of the connection, so that tests can send from several.
    PeerAddress,
    /// An origin that refuses connections is told from one that breaks them, so that what was not sent may be sent again.
    RefusedConnections,
    /// Lines of a repeated field stay apart; where they do not, they are joined by commas (RFC 9110 §5.3).
    RepeatedFields,
    /// The client is told how long a response is before it comes.
    Lengths,
    /// An instance serves several requests at the same time, and counts them together.
    Concurrency,
    /// A body without a length that breaks off is told from one that has ended.
    BrokenChunks,
    /// A client that leaves is noticed although nothing is written to it.
    SilentLeave,
    /// The gateway keeps the connections to origins, and sees one that the origin closed before it sends on it.
    OwnConnections,
    /// The `Connection` field is seen, so that the fields it names end here (RFC 9110 §7.6.1).
    ConnectionField,
    /// A process lives long enough to be asked what it has counted, so that an answer costs no command for its counters.
    OwnCounters,
    /// Redis is reached by its own protocol.
    Resp,
}

impl Feature {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Process,
        Self::Tls,
        Self::Wire,
        Self::H2c,
        Self::Upgrades,
        Self::SharedMemory,
        Self::ActiveChecks,
        Self::StreamedUploads,
        Self::PeerAddress,
        Self::RefusedConnections,
        Self::RepeatedFields,
        Self::Lengths,
        Self::Concurrency,
        Self::BrokenChunks,
        Self::SilentLeave,
        Self::OwnConnections,
        Self::ConnectionField,
        Self::OwnCounters,
        Self::Resp,
    ];

    /// Why it is missing there; none where it is not.
    pub fn missing(self, target: Target, transport: Transport) -> Option<&'static str> {
        use Target::{Lambda, Native, Spin, Worker};
        match (self, target) {
            (Self::Resp, _) => (transport == Transport::Rest).then_some("Redis is reached over HTTP"),
            (_, Native) => None,
            (Self::Process, _) => Some("the platform has its own command line and configuration"),
            (Self::Tls, _) => Some("the platform ends TLS"),
            (Self::Wire | Self::H2c, _) => Some("the platform reads HTTP"),
            (Self::Upgrades, Worker) => None,
            (Self::Upgrades, Spin | Lambda) => Some("the platform passes no upgrades"),
            (Self::SharedMemory, _) => Some("each instance has a memory of its own"),
            (Self::ActiveChecks, _) => Some("nothing runs between requests"),
            (Self::StreamedUploads, Lambda) => Some("request bodies are one event of at most 6 MB"),
            (Self::StreamedUploads, _) => None,
            (Self::RefusedConnections, Worker) => Some("the platform says `lost` of both"),
            (Self::RefusedConnections, Spin | Lambda) => None,
            (Self::RepeatedFields, Worker | Lambda) => Some("the platform joins the lines of a field"),
            (Self::Lengths, Lambda) => Some("what is streamed is chunked, its length another field"),
            (Self::Lengths, Worker | Spin) => None,
            (Self::Concurrency, Lambda) => Some("an instance takes one request at a time"),
            (Self::Concurrency, Worker | Spin) => None,
            (Self::RepeatedFields, Spin) => None,
            (Self::BrokenChunks, Worker) => Some("workerd ends every chunked body as if it were whole"),
            (Self::SilentLeave, Worker) => Some("workerd notices it when it writes"),
            (Self::SilentLeave, Spin) => {
                Some("a silent stream is looked after twice a second; before the head nothing tells")
            }
            (Self::OwnConnections, Worker | Spin) => Some("the platform keeps the connections to origins"),
            (Self::SilentLeave, Lambda) => Some("the function hears of it when it writes"),
            (Self::BrokenChunks, Spin | Lambda) | (Self::OwnConnections, Lambda) => None,
            (Self::ConnectionField, Spin) => Some("the platform keeps the field for itself"),
            (Self::OwnCounters, _) => Some("they are added in the store, after the answer"),
            (Self::ConnectionField, Worker | Lambda) => None,
            (Self::PeerAddress, _) => Some("the platform says who the client is"),
        }
    }
}

/// Whether the build under test has all of these; says why where it has not.
pub fn supported(features: &[Feature]) -> bool {
    let (target, transport) = (Target::current(), Transport::current());
    for feature in features {
        if let Some(reason) = feature.missing(target, transport) {
            println!("skipped on {}: {feature:?}: {reason}", target.name());
            note(*feature, reason);
            return false;
        }
    }
    true
}

/// Adds a line to the file that `ACIP_SKIPPED` names, if any: a test that ends early counts as passed, so only this tells.
fn note(feature: Feature, reason: &str) {
    let Some(path) = std::env::var_os("ACIP_SKIPPED") else { return };
    let current = std::thread::current();
    let line = format!("{}\t{feature:?}: {reason}\n", current.name().unwrap_or("?"));
    let file = OpenOptions::new().create(true).append(true).open(path);
    // At once, since other tests write there too.
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("writes to ACIP_SKIPPED");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_a_row_for_each() {
        let page = std::fs::read_to_string(crate::root().join("docs/targets.md")).expect("the page");
        for feature in Feature::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{feature:?}` |")));
            let columns: Vec<_> =
                row.unwrap_or_else(|| panic!("no row for {feature:?}")).split('|').collect();
            for (target, column) in [(Target::Worker, 4), (Target::Spin, 5), (Target::Lambda, 6)] {
                let expected = feature.missing(target, Transport::Tcp).unwrap_or("yes");
                assert_eq!(
                    columns.get(column).map(|it| it.trim()),
                    Some(expected),
                    "{feature:?} on {target:?}"
                );
            }
        }
    }
}
