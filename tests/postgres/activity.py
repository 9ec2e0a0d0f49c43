"""Wait for what the sessions of a store do on the server, instead of sleeping until they must."""

import asyncio

import psycopg

from treadle.backends.postgres.location import parse_location

_SECONDS = 30


async def until_blocked(url: str) -> None:
    """Return once a transaction on the store at `url` waits for a lock."""
    await _until(url, "wait_event_type = 'Lock' AND position(%s IN query) > 0")


async def until_listening(url: str) -> None:
    """Return once a process listens for notices of the store at `url`."""
    await _until(url, "query LIKE 'LISTEN%%' AND position(%s IN query) > 0")


async def until_gone(url: str, application_name: str) -> None:
    """Return once no session has the name."""
    named = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
    connecting = psycopg.AsyncConnection.connect(parse_location(url).conninfo, autocommit=True)
    async with await connecting as connection, asyncio.timeout(_SECONDS):
        while True:
            cursor = await connection.execute(named, (application_name,))
            if await cursor.fetchone() is None:
                return
            await asyncio.sleep(0.005)


async def _until(url: str, condition: str) -> None:
    """Return once a session meets a condition, whose query contains the schema's name."""
    location = parse_location(url)
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"
    connecting = psycopg.AsyncConnection.connect(location.conninfo, autocommit=True)
    async with await connecting as connection, asyncio.timeout(_SECONDS):
        while True:
            cursor = await connection.execute(asked.encode(), (location.schema,))
            if await cursor.fetchone() != (0,):
                return
            await asyncio.sleep(0.005)
