"""Increment a number in a session 50 times: `python -m …increment URL PROCESS`."""

import asyncio
import sys

from google.adk.errors import StaleSessionError
from google.adk.sessions.base_session_service import GetSessionConfig

from tests.frameworks.google_adk.events import APP, USER, changing
from treadle import open_store
from treadle.integrations.google_adk import TreadleSessionService

TIMES = 50
WITHOUT_EVENTS = GetSessionConfig(num_recent_events=0)


async def main(url: str) -> None:
    async with open_store(url) as store:
        service = TreadleSessionService(store)
        done = 0
        while done < TIMES:
            session = await service.get_session(
                app_name=APP, user_id=USER, session_id="s", config=WITHOUT_EVENTS
            )
            assert session is not None
            try:
                await service.append_event(session, changing({"count": session.state["count"] + 1}))
            except StaleSessionError:
                continue
            done += 1


asyncio.run(main(sys.argv[1]))
