"""What the origin saw: requests with the state of their bodies, and clients that left."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import Any

from starlette.types import Message, Scope

from . import clock

# Tests of load must not fill the memory: past this the oldest are forgotten, the counters go on.
KEPT = 20_000


class Seen:
    """One request."""

    def __init__(self, scope: Scope) -> None:
        self.method = scope.get("method", "GET")
        self.kind = scope["type"]
        self.path = scope["raw_path"].decode("latin-1")
        self.query = scope["query_string"].decode("latin-1")
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.at_ms = clock.unix_ms()
        self.bytes = 0
        self.sha256 = hashlib.sha256()
        self.complete = False

    def received(self, message: Message) -> None:
        """Counts a piece of the body."""
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self.bytes += len(body)
            self.sha256.update(body)
            self.complete = not message.get("more_body", False)

    def body(self) -> dict[str, Any]:
        """How much of the body came, and what it was."""
        return {"bytes": self.bytes, "sha256": self.sha256.hexdigest(), "complete": self.complete}

    def view(self) -> dict[str, Any]:
        """As `GET /_test/seen` tells it."""
        return {
            "method": self.method,
            "kind": self.kind,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "at_ms": self.at_ms,
            "body": self.body(),
        }


class Record:
    """All requests but those to the switches, and all clients that left early."""

    def __init__(self) -> None:
        self.seen: deque[Seen] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self.left: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.hits: Counter[str] = Counter()

    def add(self, seen: Seen) -> None:
        """A request came."""
        self.seen.append(seen)
        self.counts[f"{seen.method} {seen.path}"] += 1

    def client_left(self, scope: Scope, phase: str, began_ms: int) -> None:
        """A client closed its connection: `phase` is `before_head` or `streaming`."""
        now = clock.unix_ms()
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        self.left.append(
            {"path": path, "query": query, "phase": phase, "at_ms": now, "after_ms": now - began_ms}
        )

    def hit(self, key: str) -> int:
        """Counts up under a key of a test's choice."""
        self.hits[key] += 1
        return self.hits[key]

    def forget(self) -> None:
        """Starts anew."""
        for kept in (self.seen, self.counts, self.left, self.hits):
            kept.clear()


RECORD = Record()
