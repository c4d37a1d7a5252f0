"""Answers that say what was asked: echo, uploads, signatures, cache questions, WebSocket echo, under `/_test/`."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import time

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response

from .faults import ANY
from .record import RECORD

router = APIRouter(prefix="/_test")


@router.api_route("/echo", methods=ANY)
@router.api_route("/echo/{rest:path}", methods=ANY)
async def echo(request: Request) -> JSONResponse:
    """The request as it arrived. The body is read piece by piece and not kept."""
    async for _ in request.stream():
        pass
    return JSONResponse(request.scope["seen"].view())


@router.api_route("/upload", methods=["POST", "PUT", "PATCH"])
async def upload(request: Request, delay_ms: int = 0, answer_after: int | None = None) -> Response:
    """Counts the body, slowly if asked; answers early (413) once `answer_after` bytes came."""
    pieces = 0
    async for piece in request.stream():
        pieces += bool(piece)
        if delay_ms and piece:
            await asyncio.sleep(delay_ms / 1000)
        if answer_after is not None and request.scope["seen"].bytes >= answer_after:
            return JSONResponse({"detail": "too much"}, 413, {"connection": "close"})
    return JSONResponse({**request.scope["seen"].body(), "pieces": pieces})


@router.api_route("/headers", methods=ANY)
async def headers(request: Request) -> Response:
    """Answers with the fields given as `h=Name:Value`, in order and with repetitions; `body=` is the body."""
    response = Response(request.query_params.get("body", "ok"), media_type="text/plain")
    for pair in request.query_params.getlist("h"):
        name, _, value = pair.partition(":")
        response.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return response


@router.api_route("/sign", methods=ANY)
async def sign(request: Request) -> JSONResponse:
    """Whether `X-Signature` is right under `ORIGIN_SIGNING_SECRET`, and not older than 300 s."""
    secret = os.environ.get("ORIGIN_SIGNING_SECRET", "")
    given, stamp = request.headers.get("x-signature"), request.headers.get("x-timestamp", "")
    path = request.scope["raw_path"].decode("latin-1")
    digest = hashlib.sha256(await request.body()).hexdigest()
    said = f"{request.method}:{path}:{digest}:{stamp}"
    right = hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
    fresh = stamp.isdecimal() and abs(time.time() - int(stamp)) <= 300
    return JSONResponse(
        {
            "verified": bool(secret) and fresh and hmac.compare_digest(right, given or ""),
            "signed": given is not None,
            "fresh": fresh,
            "skipped": request.headers.get("x-signature-skipped"),
        }
    )


@router.api_route("/cache", methods=["GET", "HEAD", "POST", "PUT", "DELETE"])
async def cache(request: Request) -> Response:
    """Fields as given: `cc`, `etag`, `lm`, `vary`, `age`, `expires`, `date`, `setcookie`, `ct`, `status`, `fail_after`.

    The body names how often this query (or `key`) was asked, and the values of the fields in `vary`, so that hits
    show; `size` pads it, `hex` is one of bytes instead. 304 where `If-None-Match` or `If-Modified-Since` says so; from the `fail_after`-th
    question on, 500.
    """
    asked = request.query_params
    nth = RECORD.hit(f"cache {asked.get('key', str(asked))}")
    fields = {
        "cache-control": asked.get("cc"),
        "etag": asked.get("etag"),
        "last-modified": asked.get("lm"),
        "vary": asked.get("vary"),
        "age": asked.get("age"),
        "expires": asked.get("expires"),
        "date": asked.get("date"),
        "set-cookie": asked.get("setcookie"),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if "fail_after" in asked and nth >= int(asked["fail_after"]):
        return JSONResponse({"detail": "broken by a test", "n": nth}, 500)
    tags = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    same_tag = "etag" in given and ("*" in tags or given["etag"] in tags)
    since = request.headers.get("if-modified-since")
    unchanged = since is not None and since == given.get("last-modified") and "if-none-match" not in request.headers
    if request.method in ("GET", "HEAD") and (same_tag or unchanged):
        return Response(status_code=304, headers=given)
    vary = [name.strip().lower() for name in asked.get("vary", "").split(",") if name.strip()]
    body = {
        "n": nth,
        "body": asked.get("body", ""),
        "vary": {name: request.headers.get(name) for name in vary},
        "pad": "x" * int(asked.get("size", "0")),
    }
    media = asked.get("ct", "application/json")
    if "hex" in asked:
        return Response(bytes.fromhex(asked["hex"]), int(asked.get("status", "200")), given, media)
    return JSONResponse(body, int(asked.get("status", "200")), given, media)


@router.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    """Echoes text and bytes; takes the first subprotocol offered; `close:4001` closes with that code."""
    offered = socket.scope.get("subprotocols") or [None]
    await socket.accept(subprotocol=offered[0])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await socket.send_bytes(message["bytes"])
            elif text.startswith("close:"):
                await socket.close(int(text.removeprefix("close:")), "as asked")
                return
            else:
                await socket.send_text(text)
    except WebSocketDisconnect:
        return
