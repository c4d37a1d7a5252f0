//! Jobs that were submitted through this process: the Python server keeps a record of each, `queue:job:{id}` (contract
//! section 10), and that tells of a job's end although no client asks for it. Who follows brings the records; a request never
//! does.

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    sync::Arc,
    vec::Vec,
};

use super::answers;
use crate::{event::Event, json};

/// The jobs of one process, the oldest forgotten first.
#[derive(Debug, Default)]
pub struct Following {
    jobs: BTreeMap<Arc<str>, State>,
    order: VecDeque<Arc<str>>,
    /// Where in the order the next look begins.
    at: usize,
    open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It goes on, as far as anybody knows; its end is news unless it may have come before anybody listened.
    Open {
        news: bool,
    },
    Ended,
}

impl Following {
    /// Jobs known at a time.
    pub const MOST: usize = 4_096;
    /// Records looked at in one look.
    pub const LOOK: usize = 256;

    /// Takes note of an event. Returns whether it is news: a job ends once, however often its answer is read.
    pub fn hears(&mut self, event: &Event) -> bool {
        match event {
            Event::JobSubmitted { job } => {
                self.note(job, State::Open { news: true });
                true
            }
            Event::JobCompleted { job } | Event::JobFailed { job } => self.note(job, State::Ended),
            _ => true,
        }
    }

    /// From here on somebody listens: what had ended before is not told as if it happened now.
    pub fn begins(&mut self) {
        for state in self.jobs.values_mut() {
            if let State::Open { news } = state {
                *news = false;
            }
        }
    }

    /// Jobs whose records are to be read now, [`Following::LOOK`] at most, all in turns.
    pub fn look(&mut self) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        for _ in 0..self.order.len() {
            if due.len() == Self::LOOK.min(self.open) {
                break;
            }
            let Some(job) = self.order.get(self.at).or_else(|| {
                self.at = 0;
                self.order.front()
            }) else {
                break;
            };
            if matches!(self.jobs.get(job), Some(State::Open { .. })) {
                due.push(Arc::clone(job));
            }
            self.at += 1;
        }
        due
    }

    /// Learns from a job's record, if it has one. Returns its end where that is news.
    pub fn learns(&mut self, job: &str, record: Option<&[u8]>) -> Option<Event> {
        let record = json::object_of(record?)?;
        let status = json::text(&record, "status")?;
        let State::Open { news } = *self.jobs.get(job)? else { return None };
        let end = answers::ended(Some(status), job.into());
        if end.is_some() || status == "cancelled" {
            self.note(job, State::Ended);
        } else {
            // Seen to go on while somebody listens.
            self.note(job, State::Open { news: true });
        }
        end.filter(|_| news)
    }

    /// The key of a job's record.
    pub fn key(job: &str) -> String {
        ["queue:job:", job].concat()
    }

    /// Whether this changes anything.
    fn note(&mut self, job: &str, state: State) -> bool {
        let is_open = |state| usize::from(matches!(state, State::Open { .. }));
        if let Some(known) = self.jobs.get_mut(job) {
            let before = core::mem::replace(known, state);
            self.open = self.open + is_open(state) - is_open(before);
            return before != state;
        }
        if self.order.len() == Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.open -= self.jobs.remove(&oldest).map_or(0, is_open);
            self.at = self.at.saturating_sub(1);
        }
        let job: Arc<str> = job.into();
        self.order.push_back(Arc::clone(&job));
        self.jobs.insert(job, state);
        self.open += is_open(state);
        true
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    fn submitted(job: &str) -> Event {
        Event::JobSubmitted { job: job.into() }
    }

    fn completed(job: &str) -> Event {
        Event::JobCompleted { job: job.into() }
    }

    const DONE: Option<&[u8]> = Some(b"{\"status\":\"completed\"}");
    const RUNNING: Option<&[u8]> = Some(b"{\"status\":\"running\"}");

    #[test]
    fn an_end_is_told_once_whoever_finds_it_first() {
        let mut jobs = Following::default();
        assert!(jobs.hears(&submitted("a")) && jobs.hears(&submitted("b")));
        assert_eq!(jobs.learns("a", RUNNING), None);
        assert_eq!(jobs.learns("a", DONE), Some(completed("a")));
        assert_eq!(jobs.learns("a", DONE), None);
        assert!(!jobs.hears(&completed("a")), "a read of what was told");
        assert!(jobs.hears(&completed("b")));
        assert!(!jobs.hears(&completed("b")));
        assert_eq!(jobs.learns("b", DONE), None);
        assert!(jobs.hears(&completed("elsewhere")) && !jobs.hears(&completed("elsewhere")));
        assert!(jobs.look().is_empty());
    }

    #[test]
    fn records_say_how_it_ended_or_nothing() {
        let failed = Event::JobFailed { job: "a".into() };
        for (record, end) in [
            ("{\"status\":\"failed\"}", Some(failed)),
            ("{\"status\":\"cancelled\"}", None),
            ("{\"status\":\"queued\"}", None),
            ("{\"status\":3}", None),
            ("[]", None),
            ("", None),
        ] {
            let mut jobs = Following::default();
            jobs.hears(&submitted("a"));
            assert_eq!(jobs.learns("a", Some(record.as_bytes())), end, "{record}");
            let goes_on = end.is_none() && !record.contains("cancelled");
            assert_eq!(jobs.look().len(), usize::from(goes_on), "{record}");
        }
        let mut jobs = Following::default();
        jobs.hears(&submitted("a"));
        assert_eq!(jobs.learns("a", None), None);
        assert_eq!(jobs.learns("unknown", DONE), None);
    }

    #[test]
    fn what_ended_before_anybody_listened_is_no_news() {
        let mut jobs = Following::default();
        jobs.hears(&submitted("ended"));
        jobs.hears(&submitted("goes on"));
        jobs.begins();
        jobs.hears(&submitted("new"));
        assert_eq!(jobs.learns("ended", DONE), None);
        assert_eq!(jobs.learns("goes on", RUNNING), None);
        assert_eq!(jobs.learns("goes on", DONE), Some(completed("goes on")));
        assert_eq!(jobs.learns("new", DONE), Some(completed("new")));
        assert!(jobs.look().is_empty());
    }

    #[test]
    fn all_have_their_turn_and_the_oldest_is_forgotten() {
        let mut jobs = Following::default();
        let names: Vec<String> = (0..Following::MOST + 3).map(|at| format!("{at}")).collect();
        for name in &names {
            jobs.hears(&submitted(name));
        }
        let rounds = Following::MOST / Following::LOOK;
        let mut seen: Vec<Arc<str>> = (0..rounds).flat_map(|_| jobs.look()).collect();
        assert_eq!(seen.len(), Following::MOST);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), Following::MOST, "each once");
        assert!(!seen.contains(&Arc::from("2")) && seen.contains(&Arc::from("3")));
        for name in &names[5..] {
            jobs.hears(&completed(name));
        }
        assert_eq!(jobs.look(), vec![Arc::from("3"), Arc::from("4")]);
    }
}
