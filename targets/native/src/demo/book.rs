//! What the simulated backend remembers: jobs and workers, in memory and bounded. Pure but for the time it is given.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// One simulated job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) prompt: String,
    pub(super) status: Status,
    pub(super) worker: Option<String>,
    pub(super) created_ms: u64,
    pub(super) result: Option<Value>,
}

/// The backend's words for where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// One simulated worker as the backend knows it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) token: String,
    pub(super) region: String,
}

/// Everything the backend remembers.
#[derive(Debug, Default)]
pub(super) struct Book {
    jobs: BTreeMap<String, Job>,
    order: VecDeque<String>,
    workers: BTreeMap<String, Worker>,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Job {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "job_id": self.id,
            "type": self.kind,
            "status": self.status.as_str(),
            "worker_id": self.worker,
            "result": self.result,
            "error": null,
            "created_at": naive_utc(self.created_ms),
        })
    }

    /// What a language model would say to the prompt, were there one.
    pub(super) fn tokens(&self) -> Vec<String> {
        let text = format!(
            "You asked: {} - this answer was made up by the demo, one token at a time, to show that the gateway \
             passes each of them on at once.",
            self.prompt
        );
        text.split_inclusive(' ').map(str::to_owned).collect()
    }
}

impl Book {
    pub(super) fn submit(&mut self, id: String, kind: String, prompt: String, now_ms: u64) -> Job {
        while self.jobs.len() >= MAX_JOBS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.jobs.remove(&oldest);
        }
        let job = Job {
            id: id.clone(),
            kind,
            prompt,
            status: Status::Queued,
            worker: None,
            created_ms: now_ms,
            result: None,
        };
        self.order.push_back(id.clone());
        self.jobs.insert(id, job.clone());
        job
    }

    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id)
    }

    pub(super) fn cancel(&mut self, id: &str) -> Option<Job> {
        let job = self.jobs.get_mut(id)?;
        if matches!(job.status, Status::Queued | Status::Running) {
            job.status = Status::Cancelled;
        }
        Some(job.clone())
    }

    /// The oldest queued job, now the worker's.
    pub(super) fn take(&mut self, worker: &str) -> Option<Job> {
        let id = self.order.iter().find(|id| self.is_queued(id))?.clone();
        let job = self.jobs.get_mut(&id)?;
        job.status = Status::Running;
        job.worker = Some(worker.to_owned());
        Some(job.clone())
    }

    fn is_queued(&self, id: &str) -> bool {
        self.jobs.get(id).is_some_and(|job| job.status == Status::Queued)
    }

    pub(super) fn complete(&mut self, id: &str, success: bool, result: Option<Value>) -> bool {
        let Some(job) = self.jobs.get_mut(id) else { return false };
        if job.status == Status::Running {
            job.status = if success { Status::Completed } else { Status::Failed };
            job.result = result;
        }
        true
    }

    pub(super) fn stats(&self) -> Value {
        let mut by_kind = BTreeMap::<&str, u64>::new();
        for job in self.jobs.values().filter(|job| job.status == Status::Queued) {
            *by_kind.entry(&job.kind).or_default() += 1;
        }
        json!({
            "total_queued": by_kind.values().sum::<u64>(),
            "by_type": by_kind,
            "available_workers": self.workers.len(),
            "estimated_wait_seconds": by_kind.values().sum::<u64>(),
        })
    }

    pub(super) fn register(&mut self, id: String, worker: Worker) -> bool {
        if self.workers.len() >= MAX_WORKERS {
            return false;
        }
        self.workers.insert(id, worker);
        true
    }

    pub(super) fn worker(&self, id: &str) -> Option<&Worker> {
        self.workers.get(id)
    }

    pub(super) fn workers(&self) -> Value {
        let list = self.workers.iter();
        list.map(|(id, worker)| json!({"id": id, "region": worker.region, "status": "online"})).collect()
    }
}

/// The backend's times carry no zone.
pub(super) fn naive_utc(unix_ms: u64) -> String {
    let text = acip_core::keys::iso8601(unix_ms).unwrap_or_default();
    text.trim_end_matches('Z').to_owned()
}

/// Oldest jobs are forgotten past it.
const MAX_JOBS: usize = 1_000;

/// Registrations past it are refused.
const MAX_WORKERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_to_one_worker_and_ends_once() {
        let mut book = Book::default();
        book.submit("a".into(), "llm".into(), "hi".into(), 0);
        assert_eq!(book.take("w1").map(|job| job.id), Some("a".into()));
        assert!(book.take("w2").is_none());
        assert!(book.complete("a", true, Some(json!("done"))));
        assert!(book.complete("a", false, None));
        assert_eq!(book.job("a").map(|job| job.status), Some(Status::Completed));
        assert_eq!(book.cancel("a").map(|job| job.status), Some(Status::Completed));
    }

    #[test]
    fn the_oldest_job_is_forgotten_at_the_cap() {
        let mut book = Book::default();
        for index in 0..=MAX_JOBS {
            book.submit(index.to_string(), "llm".into(), String::new(), 0);
        }
        assert!(book.job("0").is_none());
        assert!(book.job("1").is_some());
    }
}
