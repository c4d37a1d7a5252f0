"""The admin API, its page and its files. Whoever reaches it may use it: the backend checks nothing here."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from fastapi.responses import HTMLResponse

from . import clock
from .jobs import view as job_view
from .state import STATE
from .workers import view as worker_view

STATIC = Path(__file__).parent / "static"

router = APIRouter()
api = APIRouter(prefix="/api/v1/admin")
_enterprises: list[dict[str, Any]] = []


@api.get("/stats")
async def stats() -> dict[str, Any]:
    return {
        "jobs": len(STATE.jobs),
        "workers": len(STATE.all_workers()),
        "available_workers": len(STATE.available()),
        "time": clock.now().isoformat(),
    }


@api.get("/workers")
async def workers() -> list[dict[str, Any]]:
    return [worker_view(worker) for worker in STATE.all_workers()]


@api.delete("/workers/{worker_id}")
async def remove_worker(worker_id: str) -> dict[str, Any]:
    if STATE.workers.pop(uuid.UUID(worker_id), None) is None:
        raise HTTPException(404, "Worker not found")
    return {"status": "ok"}


@api.get("/jobs")
async def jobs(limit: int = 100) -> list[dict[str, Any]]:
    return [job_view(job) for job in list(STATE.jobs.values())[-limit:]]


@api.post("/jobs/{job_id}/retry")
async def retry(job_id: str) -> dict[str, Any]:
    job = STATE.jobs.get(uuid.UUID(job_id))
    if job is None:
        raise HTTPException(404, "Job not found")
    job.status, job.result, job.error = "queued", None, None
    return job_view(job)


@api.get("/enterprises")
async def enterprises() -> list[dict[str, Any]]:
    return _enterprises


@api.post("/enterprises")
async def create_enterprise(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    _enterprises.append({"id": str(uuid.uuid4()), **body})
    return _enterprises[-1]


@api.get("/settings")
async def settings() -> dict[str, Any]:
    return {"simulated_workers": len(STATE.simulated), "job_ms": STATE.job_ms}


router.include_router(api)


@router.get("/admin", response_class=HTMLResponse)
async def page() -> str:
    return (STATIC / "admin.html").read_text()
