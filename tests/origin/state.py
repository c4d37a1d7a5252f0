"""Everything the application remembers: jobs, workers, and how the simulation is set."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import clock
from .tokens import Credentials

HEARTBEATS_MISSED_AFTER = timedelta(seconds=90)


@dataclass
class Job:
    """One job and its life: queued, running, then completed, failed or cancelled."""

    type: str
    params: dict[str, Any]
    priority: int
    region: str | None
    timeout_seconds: int
    job_id: uuid.UUID = field(default_factory=uuid.uuid4)
    status: str = "queued"
    result: dict[str, Any] | None = None
    error: str | None = None
    worker_id: uuid.UUID | None = None
    created_at: datetime = field(default_factory=clock.now)
    started_at: datetime | None = None
    completed_at: datetime | None = None

    def start(self, worker_id: uuid.UUID) -> None:
        """A worker takes it."""
        self.status, self.worker_id, self.started_at = "running", worker_id, clock.now()

    def end(self, status: str, result: dict[str, Any] | None = None, error: str | None = None) -> None:
        """It is over."""
        self.status, self.result, self.error = status, result, error
        self.completed_at = clock.now()


@dataclass
class Worker:
    """A registered worker, or a simulated one (those have no credentials and are always there)."""

    about: dict[str, Any]
    credentials: Credentials | None = None
    worker_id: uuid.UUID = field(default_factory=uuid.uuid4)
    status: str = "offline"
    last_heartbeat: datetime | None = None
    current_job: str | None = None
    jobs_completed: int = 0
    processing_time_ms: float = 0
    config: dict[str, Any] = field(default_factory=lambda: {"heartbeat_interval": 30, "poll_interval": 2})
    config_version: int = 1

    def is_available(self) -> bool:
        """Whether jobs may be given to it."""
        if self.credentials is None:
            return True
        recent = self.last_heartbeat is not None and clock.now() - self.last_heartbeat < HEARTBEATS_MISSED_AFTER
        return recent and self.status in ("online", "busy")


@dataclass
class State:
    """The whole memory of one process."""

    jobs: dict[uuid.UUID, Job] = field(default_factory=dict)
    workers: dict[uuid.UUID, Worker] = field(default_factory=dict)
    simulated: list[Worker] = field(default_factory=list)
    job_ms: int = 50

    def simulate(self, count: int, job_ms: int) -> None:
        """Sets how many workers are simulated, and how long they take over a job."""
        self.simulated = [
            Worker(
                about={
                    "region": ("us-west", "eu-west")[n % 2],
                    "name": f"simulated-{n}",
                    "gpu_model": "NVIDIA A100",
                    "gpu_memory_gb": 80,
                    "supported_types": ["llm", "image_gen", "whisper"],
                    "direct_url": f"http://127.0.0.1:{9000 + n}",
                    "supports_direct": True,
                },
                worker_id=uuid.uuid5(uuid.NAMESPACE_DNS, f"simulated-{n}"),
                status="online",
            )
            for n in range(count)
        ]
        self.job_ms = job_ms

    def all_workers(self) -> list[Worker]:
        """Registered ones first."""
        return [*self.workers.values(), *self.simulated]

    def available(self) -> list[Worker]:
        """Those that could take a job now."""
        return [worker for worker in self.all_workers() if worker.is_available()]

    def queued(self) -> list[Job]:
        """Waiting jobs in the order in which workers get them."""
        waiting = [job for job in self.jobs.values() if job.status == "queued"]
        return sorted(waiting, key=lambda job: (-job.priority, job.created_at))

    def forget(self) -> None:
        """Back to how the process started."""
        self.jobs.clear()
        self.workers.clear()
        self.simulate(2, 50)


STATE = State()
STATE.simulate(2, 50)
