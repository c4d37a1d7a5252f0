//! Events for whoever subscribes in Redis: each is one message on one channel, `gateway:events`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{Event, Wanted, line};
use crate::{
    config::{Document, Origin},
    keyspace::Keyspace,
    outcome::Epilogue,
    store::Op,
};

/// Makes the messages for a document that wants some published.
#[derive(Clone, Debug)]
pub struct Publisher {
    wanted: Wanted,
    channel: String,
    origins: Vec<Origin>,
}

impl Publisher {
    /// None where nothing is to be published.
    pub fn new(document: &Document) -> Option<Self> {
        let wanted = document.events.publish;
        (wanted != Wanted::NONE).then(|| Self {
            wanted,
            channel: Keyspace::new(document).events(),
            origins: document.origins.clone(),
        })
    }

    /// Publishes an event that was put into words before: see [`line`].
    pub fn op(&self, message: &str) -> Op {
        Op::Publish { channel: self.channel.clone(), message: message.to_string() }
    }

    /// Publishes what happened in a request.
    pub(crate) fn ops(&self, epilogue: &Epilogue) -> Vec<Op> {
        let at_ms = epilogue.record.outcome.now_ms;
        let wanted = |event: &&Event| self.wanted.admits(event.name());
        let message = |event| self.op(&line(event, at_ms, Some(&epilogue.record), &self.origins));
        epilogue.events.iter().filter(wanted).map(message).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_wanted_is_published_in_order() {
        let mut document = Document::default();
        assert!(Publisher::new(&document).is_none());
        document.events.publish = Wanted::list(&["gateway:job:*", "gateway:cache:miss"]).unwrap();
        let job = || "j".to_string();
        let events = vec![
            Event::RequestIncoming,
            Event::CacheMiss,
            Event::JobSubmitted { job: job() },
            Event::RequestCompleted,
        ];
        let ops = Publisher::new(&document).unwrap().ops(&Epilogue { events, ..Epilogue::default() });
        let told = ops.iter().map(|op| match op {
            Op::Publish { channel, message } if channel == "gateway:events" => {
                serde_json::from_str::<serde_json::Value>(message).unwrap()["name"].to_string()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), ["\"gateway:cache:miss\"", "\"gateway:job:submitted\""]);
    }
}
