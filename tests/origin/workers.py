"""The worker API. A worker's token is checked on exactly seven routes: those that depend on `Known`."""

from __future__ import annotations

import secrets
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, HTTPException
from pydantic import BaseModel

from . import clock
from .state import STATE, Worker
from .tokens import Credentials

router = APIRouter(prefix="/api/v1/workers")


class Register(BaseModel):
    """What a worker says of itself."""

    region: str
    name: str | None = None
    country: str | None = None
    city: str | None = None
    timezone: str | None = None
    gpu_model: str | None = None
    gpu_memory_gb: float | None = None
    gpu_count: int = 1
    cpu_cores: int | None = None
    ram_gb: float | None = None
    supported_types: list[str] = []
    direct_url: str | None = None
    supports_direct: bool = False


class Heartbeat(BaseModel):
    """What a worker reports every 30 seconds."""

    status: Literal["online", "busy", "going_offline"]
    current_job_id: str | None = None
    gpu_memory_used_gb: float | None = None
    supported_types: list[str] | None = None
    loaded_models: list[str] | None = None
    direct_url: str | None = None
    config_version: int = 0


class Completion(BaseModel):
    """How a job ended."""

    success: bool
    result: dict[str, Any] | None = None
    error: str | None = None
    processing_time_ms: float | None = None


def found(worker_id: str) -> Worker:
    """The worker. A malformed id raises `ValueError`, which nobody catches: 500, as in the backend."""
    worker = STATE.workers.get(uuid.UUID(worker_id))
    if worker is None:
        raise HTTPException(404, "Worker not found")
    return worker


def _known(worker_id: str, x_worker_token: Annotated[str | None, Header()] = None) -> Worker:
    worker = found(worker_id)
    if worker.credentials is not None:
        worker.credentials.check(x_worker_token)
    return worker


Known = Annotated[Worker, Depends(_known)]


def view(worker: Worker) -> dict[str, Any]:
    """A worker as anybody may read it."""
    return {
        "worker_id": str(worker.worker_id),
        **worker.about,
        "status": worker.status if worker.is_available() else "offline",
        "current_job_id": worker.current_job,
        "last_heartbeat": worker.last_heartbeat.isoformat() if worker.last_heartbeat else None,
        "jobs_completed": worker.jobs_completed,
    }


@router.get("")
async def list_all(region: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    views = [view(worker) for worker in STATE.all_workers()]
    wanted = {key: value for key, value in (("region", region), ("status", status)) if value is not None}
    return [view for view in views if all(view[key] == value for key, value in wanted.items())]


@router.post("/register")
async def register(body: Register) -> dict[str, Any]:
    credentials, told = Credentials.issue()
    worker = Worker(body.model_dump(), credentials, last_heartbeat=clock.now(), status="online")
    STATE.workers[worker.worker_id] = worker
    secret = secrets.token_hex(32)
    return {"worker_id": str(worker.worker_id), **told, "signing_secret": secret, "message": "Worker registered"}


@router.get("/{worker_id}")
async def read(worker_id: str) -> dict[str, Any]:
    return view(found(worker_id))


@router.post("/{worker_id}/heartbeat")
async def heartbeat(worker: Known, body: Heartbeat) -> dict[str, Any]:
    worker.status, worker.last_heartbeat, worker.current_job = body.status, clock.now(), body.current_job_id
    for name in ("supported_types", "direct_url"):
        if (value := getattr(body, name)) is not None:
            worker.about[name] = value
    changed = body.config_version != worker.config_version
    return {"status": "ok", "action": None, "message": None, "config_changed": changed}


@router.get("/{worker_id}/next-job")
async def next_job(worker: Known) -> dict[str, Any] | None:
    supported = worker.about.get("supported_types") or []
    for job in STATE.queued():
        if not supported or job.type in supported:
            job.start(worker.worker_id)
            worker.status, worker.current_job = "busy", str(job.job_id)
            return {
                "job_id": str(job.job_id),
                "type": job.type,
                "params": job.params,
                "timeout_seconds": job.timeout_seconds,
                "priority": job.priority,
            }
    return None


@router.post("/{worker_id}/jobs/{job_id}/complete")
async def complete(worker: Known, job_id: str, body: Completion) -> dict[str, Any]:
    job = STATE.jobs.get(uuid.UUID(job_id))
    if job is None or job.worker_id != worker.worker_id:
        raise HTTPException(404, "Job not found")
    # Without the time this raises `TypeError`: 500, as in the backend.
    worker.processing_time_ms += body.processing_time_ms  # type: ignore[operator]
    job.end("completed" if body.success else "failed", body.result, body.error)
    worker.status, worker.current_job = "online", None
    worker.jobs_completed += 1
    return {"status": "ok", "job_id": job_id}


@router.post("/{worker_id}/going-offline")
async def going_offline(worker: Known) -> dict[str, Any]:
    worker.status = "going_offline"
    return {"status": "ok", "message": "Finish the current job, then go offline"}


@router.post("/{worker_id}/offline")
async def offline(worker: Known) -> dict[str, Any]:
    worker.status, worker.current_job = "offline", None
    return {"status": "ok"}


@router.get("/{worker_id}/config")
async def read_config(worker: Known) -> dict[str, Any]:
    return {"version": worker.config_version, "config": worker.config}


@router.put("/{worker_id}/config")
async def write_config(worker: Known, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    worker.config.update(body)
    worker.config_version += 1
    return {"version": worker.config_version, "config": worker.config}


@router.post("/{worker_id}/verify")
async def verify(worker_id: str, x_worker_token: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    """Says whether the token is right, always with 200; wrong ones are not counted."""
    worker = STATE.workers.get(uuid.UUID(worker_id))
    known = worker is not None and worker.credentials is not None
    return {"valid": known and worker.credentials.holds(x_worker_token)}


@router.post("/{worker_id}/refresh-token")
async def refresh(worker_id: str, refresh_token: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
    worker = found(worker_id)
    if worker.credentials is None or not worker.credentials.refreshes(refresh_token):
        raise HTTPException(401, "Invalid refresh token")
    worker.credentials, told = Credentials.issue()
    return told
