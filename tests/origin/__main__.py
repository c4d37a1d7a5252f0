"""`python -m origin`: serves the application on loopback, and says on standard output where."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket

import uvicorn

from .app import create


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    address = ("", 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("listening on {}:{}".format(*self.address), flush=True)


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser(prog="origin")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    instance = os.environ.get("ORIGIN_INSTANCE", "origin")
    parser.add_argument("--instance", default=instance, help="the value of `X-Origin`")
    parser.add_argument("--cert", help="a PEM chain: speak TLS")
    parser.add_argument("--cert-key", help="its key")
    options = parser.parse_args()
    # asyncio switches Nagle's algorithm off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    config = uvicorn.Config(
        create(options.instance),
        http="h11",
        ws="websockets-sansio",
        log_level="warning",
        access_log=False,
        backlog=1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        ssl_certfile=options.cert,
        ssl_keyfile=options.cert_key,
    )
    server = Server(config)
    server.address = listener.getsockname()
    asyncio.run(server.serve(sockets=[listener]))


main()
