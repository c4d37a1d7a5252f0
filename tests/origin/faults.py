"""Origins behave badly: slow, failing, huge and broken answers for tests, under `/_test/`."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from . import clock
from .record import RECORD
from .wire import abort, left

router = APIRouter(prefix="/_test")
ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PIECE = b"0123456789abcdef" * 4096


class Raw(Response):
    """An answer that speaks ASGI itself."""

    def __init__(self, run) -> None:  # noqa: ANN001
        self.run = run
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.run(scope, receive, send)


async def unless_left(work, scope: Scope, receive: Receive, phase: str) -> bool:  # noqa: ANN001
    """Does the work; stops at once, and records it, when the client leaves. Whether the work was done."""
    began = clock.unix_ms()
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(left(receive))
    await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    if leaving.done() and not working.done():
        RECORD.client_left(scope, phase, began)
    for task in (working, leaving):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return not working.cancelled()


async def start(send: Send, status: int, *headers: tuple[str, str]) -> None:
    """Sends a head."""
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def piece(send: Send, body: bytes, more: bool = True) -> None:
    """Sends a piece of the body."""
    await send({"type": "http.response.body", "body": body, "more_body": more})


@router.api_route("/slow", methods=ANY)
async def slow(request: Request, ms: int = 1000) -> Response:
    """Answers after `ms`; tells `cancelled` of a client that leaves before."""
    await request.body()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if await unless_left(asyncio.sleep(ms / 1000), scope, receive, "before_head"):
            await JSONResponse({"slept_ms": ms})(scope, receive, send)

    return Raw(run)


@router.api_route("/status/{code}", methods=ANY)
async def status(code: int, retry_after: str | None = None) -> Response:
    """This status."""
    headers = {"retry-after": retry_after} if retry_after else {}
    if code in (204, 304):
        return Response(status_code=code, headers=headers)
    return JSONResponse({"detail": f"status {code}"}, code, headers)


@router.api_route("/flaky", methods=ANY)
async def flaky(key: str, fail: int = 1, code: int = 503, cut: bool = False) -> Response:
    """Fails the first `fail` requests of this key, with a status or by closing the connection."""
    nth = RECORD.hit(f"flaky {key}")
    if nth > fail:
        return JSONResponse({"attempt": nth})
    if not cut:
        return JSONResponse({"detail": f"attempt {nth} fails"}, code)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        abort(scope)

    return Raw(run)


@router.get("/huge")
async def huge(mb: int = 64) -> Response:
    """So many MiB, chunked."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def pour() -> None:
            for _ in range(mb * 2**20 // len(PIECE)):
                await piece(send, PIECE)
            await piece(send, b"", more=False)

        await start(send, 200, ("content-type", "application/octet-stream"))
        await unless_left(pour(), scope, receive, "streaming")

    return Raw(run)


@router.api_route("/cut", methods=ANY)
async def cut(
    after: int = 0, length: int | None = None, chunked: bool = False, head: bool = True, reset: bool = False
) -> Response:
    """Closes the connection after `after` bytes of a longer body (`length`, or chunked), or before the head."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if head:
            declared = [] if chunked else [("content-length", str(length or after + 1000))]
            await start(send, 200, ("content-type", "application/octet-stream"), *declared)
            if after:
                await piece(send, b"x" * after)
            elif chunked:
                await piece(send, b"")
        abort(scope, reset)

    return Raw(run)


@router.get("/sse")
async def sse(n: int = 3, ms: int = 100, cut_after: int | None = None) -> Response:
    """`n` server-sent events, one every `ms`, each with the time (unix ms) it left; perhaps cut on the way."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell() -> None:
            for event in range(n):
                if event == cut_after:
                    abort(scope)
                    return
                await piece(send, f"id: {event}\ndata: {{\"n\":{event},\"at_ms\":{clock.unix_ms()}}}\n\n".encode())
                await asyncio.sleep(ms / 1000)
            await piece(send, b"data: [DONE]\n\n", more=False)

        await start(send, 200, ("content-type", "text/event-stream"), ("cache-control", "no-cache"))
        await unless_left(tell(), scope, receive, "streaming")

    return Raw(run)
