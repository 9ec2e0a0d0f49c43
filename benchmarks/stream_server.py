"""`python -m benchmarks.stream_server URL TOKEN`: serve a store until SIGTERM, as `treadle serve`.

It writes its address when it listens. One principal may have all streams.
"""

import asyncio
import sys

import treadle
import treadle.http


async def main(url: str, token: str) -> None:
    """Serve until a signal comes."""
    async with treadle.open_store(url) as store:
        authenticate = treadle.http.tokens({token: treadle.http.user("alice")})
        limits = treadle.http.Limits(streams=10_000, streams_per_principal=10_000)
        app = treadle.http.app(store, authenticate=authenticate, limits=limits)
        await treadle.http.serve(app, port=0, on_start=lambda at: print(at, flush=True))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
