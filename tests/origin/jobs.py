"""The client API: jobs. Nothing here checks a credential, and no owner is kept on a job."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel

from .state import STATE, Job, Worker

router = APIRouter(prefix="/api/v1/jobs")


class CreateJob(BaseModel):
    """What clients submit."""

    type: Literal["llm", "image_gen", "whisper"]
    params: dict[str, Any]
    priority: int = 0
    region: str | None = None
    allow_cross_region: bool = True
    prefer_direct: bool = False
    timeout_seconds: int = 300


def view(job: Job) -> dict[str, Any]:
    """A job as clients read it."""
    queued = STATE.queued()
    position = queued.index(job) + 1 if job in queued else None
    return {
        "job_id": str(job.job_id),
        "status": job.status,
        "result": job.result,
        "error": job.error,
        "region": job.region,
        "worker_id": str(job.worker_id) if job.worker_id else None,
        "direct_url": None,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "completed_at": job.completed_at.isoformat() if job.completed_at else None,
        "queue_position": position,
        "estimated_wait_seconds": position * 5 if position else None,
    }


def found(job_id: str) -> Job:
    """The job. A malformed id raises `ValueError`, which nobody catches: 500, as in the backend."""
    job = STATE.jobs.get(uuid.UUID(job_id))
    if job is None:
        raise HTTPException(404, "Job not found")
    return job


def direct(worker: Worker) -> dict[str, Any]:
    """Where a client reaches a worker without the server."""
    return {
        "worker_id": str(worker.worker_id),
        "direct_url": worker.about.get("direct_url"),
        "region": worker.about.get("region"),
        "gpu_model": worker.about.get("gpu_model"),
        "reliability_score": 0.98,
    }


def submit(body: CreateJob) -> Job:
    """Queues a job; a simulated worker takes it, if there are any."""
    job = Job(body.type, body.params, body.priority, body.region, body.timeout_seconds)
    STATE.jobs[job.job_id] = job
    task = asyncio.create_task(_work(job))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return job


async def _work(job: Job) -> None:
    await asyncio.sleep(STATE.job_ms / 2000)
    if not STATE.simulated or job.status != "queued":
        return
    worker = STATE.simulated[job.job_id.int % len(STATE.simulated)]
    job.start(worker.worker_id)
    await asyncio.sleep(STATE.job_ms / 2000)
    if job.status != "running":
        return
    if job.params.get("fail"):
        job.end("failed", error="simulated failure")
    else:
        job.end("completed", result={"output": f"done: {job.params.get('prompt', '')}"})
        worker.jobs_completed += 1


# The event loop keeps weak references only.
_running: set[asyncio.Task[None]] = set()


@router.post("")
async def create(body: CreateJob) -> dict[str, Any]:
    return view(submit(body))


@router.post("/sync")
async def create_and_wait(
    body: CreateJob,
    timeout: int = Query(60, ge=1, le=600),  # noqa: ASYNC109
    wait_for_worker: bool = True,
) -> dict[str, Any]:
    """Always ends in 408: the backend's session reads its own stale row, even when the job is done."""
    if not wait_for_worker and not STATE.available():
        raise HTTPException(503, {"error": "no_workers_available", "message": "No workers available"})
    job = submit(body)
    await asyncio.sleep(timeout)
    raise HTTPException(
        408,
        {"error": "timeout", "message": f"Job did not complete in {timeout} seconds", "job_id": str(job.job_id)},
    )


@router.get("/stats/queue")
async def queue() -> dict[str, Any]:
    queued = STATE.queued()
    by_type: dict[str, int] = {}
    for job in queued:
        by_type[job.type] = by_type.get(job.type, 0) + 1
    available = len(STATE.available())
    wait = len(queued) * 5 / available if available else None
    return {
        "total_queued": len(queued),
        "by_type": by_type,
        "available_workers": available,
        "estimated_wait_seconds": wait,
    }


@router.get("/direct/nearest")
async def nearest(job_type: str) -> dict[str, Any]:
    for worker in STATE.available():
        if worker.about.get("supports_direct") and job_type in worker.about.get("supported_types", []):
            return direct(worker)
    raise HTTPException(404, "No direct worker available")


@router.get("/{job_id}")
async def read(job_id: str) -> dict[str, Any]:
    return view(found(job_id))


@router.delete("/{job_id}")
async def cancel(job_id: str) -> dict[str, Any]:
    job = found(job_id)
    if job.status not in ("queued", "running"):
        raise HTTPException(400, f"Cannot cancel job in status {job.status}")
    job.end("cancelled")
    return {"job_id": str(job.job_id), "status": job.status, "message": "Job cancelled"}


@router.get("/{job_id}/direct")
async def direct_of(job_id: str) -> dict[str, Any]:
    job = found(job_id)
    for worker in STATE.all_workers():
        if worker.worker_id == job.worker_id:
            return direct(worker)
    raise HTTPException(404, "No direct worker for this job")
