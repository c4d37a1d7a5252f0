"""Time as the backend writes it (naive UTC), with an offset so that tests can let hours pass."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_offset = timedelta()


def now() -> datetime:
    """The current time, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None) + _offset


def unix_ms() -> int:
    """The real wall clock, for measurements; the offset does not enter."""
    return time.time_ns() // 1_000_000


def advance(seconds: float) -> None:
    """Lets time pass for expiry and lockout."""
    global _offset
    _offset += timedelta(seconds=seconds)


def reset() -> None:
    """Back to the real time."""
    global _offset
    _offset = timedelta()
