"""A server in a process of its own: `python -m tests.http.server_process STORE TOKEN`."""

import asyncio
import socket
import sys

import uvicorn

import treadle
import treadle.http


async def main(url: str, token: str) -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with treadle.open_store(url) as store:
            authenticate = treadle.http.tokens({token: treadle.http.user("alice")})
            limits = treadle.http.Limits(streams=10_000, streams_per_principal=10_000)
            app = treadle.http.app(store, authenticate=authenticate, limits=limits)
            print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            await uvicorn.Server(config).serve([listening])


asyncio.run(main(*sys.argv[1:]))
