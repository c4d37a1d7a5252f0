"""Switches and gauges for tests, under `/_test/`.

They are neither recorded nor broken (`wire.SWITCHES`). Every switch is a POST with query parameters.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from fastapi import APIRouter, Request

from . import clock
from .record import RECORD
from .state import STATE
from .wire import Fault

router = APIRouter(prefix="/_test")


@router.get("/seen")
async def seen(path: str | None = None) -> list[dict[str, Any]]:
    """The requests that came, oldest first; all, or those to one path."""
    return [seen.view() for seen in list(RECORD.seen) if path in (None, seen.path)]


@router.get("/counts")
async def counts() -> dict[str, int]:
    """How many requests came, by `METHOD /path`."""
    return dict(RECORD.counts)


@router.get("/last")
async def last(path: str | None = None) -> dict[str, Any] | None:
    """Size and SHA-256 of the last body; still growing while `complete` is false."""
    for seen in reversed(RECORD.seen):
        if path in (None, seen.path):
            return {"method": seen.method, "path": seen.path, **seen.body()}
    return None


@router.get("/cancelled")
async def cancelled(path: str | None = None) -> list[dict[str, Any]]:
    """Clients that left before their answer was whole: when (unix ms), and in which phase."""
    return [entry for entry in list(RECORD.left) if path in (None, entry["path"])]


@router.post("/reset")
async def reset(request: Request) -> dict[str, str]:
    """Forgets everything, mends everything."""
    RECORD.forget()
    STATE.forget()
    clock.reset()
    request.scope["wire"].fault = Fault()
    return {"status": "ok"}


@router.post("/die")
async def die() -> None:
    """Ends the process between two steps of its loop: no answer is cut after its head."""
    os._exit(0)


@router.post("/fault")
async def fault(
    request: Request,
    kind: Literal["none", "status", "cut", "hang", "slow"],
    status: int = 500,
    ms: int = 0,
    times: int | None = None,
) -> dict[str, str]:
    """Breaks every request from now on, or the next `times`."""
    request.scope["wire"].fault = Fault(kind, status, ms, times)
    return {"status": "ok"}


@router.post("/advance")
async def advance(seconds: float) -> dict[str, str]:
    """Lets time pass for tokens and lockouts."""
    clock.advance(seconds)
    return {"now": clock.now().isoformat()}


@router.post("/simulate")
async def simulate(workers: int = 2, job_ms: int = 50) -> dict[str, Any]:
    """How many workers are simulated (0: jobs stay queued for registered ones), and their speed."""
    STATE.simulate(workers, job_ms)
    return {"workers": workers, "job_ms": job_ms}
