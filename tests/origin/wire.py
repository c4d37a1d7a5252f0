"""The outermost layer: records every request, names the instance, and breaks everything when told to.

Not part of the backend that is imitated. What it breaks, it breaks for all but the switches.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .record import RECORD, Seen

# Neither recorded nor broken: `control.py` answers them.
SWITCHES = frozenset(
    f"/_test/{name}"
    for name in ("seen", "counts", "last", "cancelled", "reset", "fault", "advance", "simulate")
)


@dataclass
class Fault:
    """What is wrong with the whole origin: `none`, `status`, `cut`, `hang`, or `slow`."""

    kind: str = "none"
    status: int = 500
    ms: int = 0
    # So many requests fail, then all is well; none: until told otherwise.
    times: int | None = None

    def take(self) -> str:
        """What happens to the next request."""
        if self.kind == "none" or self.times == 0:
            return "none"
        if self.times is not None:
            self.times -= 1
        return self.kind


class Wire:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, instance: str) -> None:
        self.app = app
        self.instance = instance.encode()
        self.fault = Fault()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        scope["wire"] = self
        # INVARIANT: uvicorn hands over bound methods of objects that hold the transport.
        scope["transport"] = getattr(getattr(send, "__self__", None), "transport", None)

        async def named(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = {**message, "headers": [*message.get("headers", []), (b"x-origin", self.instance)]}
            await send(message)

        if scope["path"] in SWITCHES:
            await self.app(scope, receive, named)
            return
        seen = Seen(scope)
        RECORD.add(seen)
        scope["seen"] = seen

        async def counted() -> Message:
            message = await receive()
            seen.received(message)
            return message

        if await self._broken(scope, counted, named):
            return
        await self.app(scope, counted, named)

    async def _broken(self, scope: Scope, receive: Receive, send: Send) -> bool:
        kind = self.fault.take()
        if kind == "cut":
            abort(scope)
        elif kind == "hang":
            await left(receive)
        elif kind == "slow":
            await asyncio.sleep(self.fault.ms / 1000)
            return False
        elif kind == "status":
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": self.fault.status, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"detail":"broken by a test"}'})
        return kind != "none"


def abort(scope: Scope, reset: bool = False) -> None:
    """Closes the client's connection at once: what was written still leaves, unless by `reset`."""
    transport = scope["transport"]
    if reset:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def left(receive: Receive) -> None:
    """Waits until the client leaves; swallows what it still sends."""
    while (await receive())["type"] != "http.disconnect":
        pass
