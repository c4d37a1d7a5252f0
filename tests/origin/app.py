"""The application: the backend's routes, its CORS, and beside them the tests' own. Start here."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from . import admin, clock, control, faults, jobs, mirrors, workers
from .cors import EchoCors
from .state import STATE
from .wire import Wire

REGIONS = ["asia-east", "asia-south", "europe-west", "europe-east", "america-north", "america-south", "oceania"]


def create(instance: str) -> Wire:
    """The whole application under this name."""
    app = FastAPI(title="Distributed GPU inference", version="1.0.0")
    app.add_middleware(EchoCors)
    for part in (jobs, workers, admin, control, faults, mirrors):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=admin.STATIC), name="static")

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "healthy", "workers": len(STATE.available()), "timestamp": clock.now().isoformat()}

    @app.get("/regions")
    async def regions() -> list[str]:
        return REGIONS

    return Wire(app, instance)
