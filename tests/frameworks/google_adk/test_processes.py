"""Several processes use one session: none of their increments is lost."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.frameworks.google_adk.events import APP, USER
from tests.frameworks.processes import run_together
from treadle import open_store
from treadle.integrations.google_adk import TreadleSessionService


@pytest.mark.parametrize("kind", ["files", "sqlite", "postgres"])
async def test_processes_that_increment_a_number_lose_nothing(
    kind: str, new_url: Callable[[str], str]
) -> None:
    url = new_url(kind)
    async with open_store(url) as store:
        service = TreadleSessionService(store)
        ids: dict[str, Any] = {"app_name": APP, "user_id": USER, "session_id": "s"}
        await service.create_session(**ids, state={"count": 0})
        run_together("tests.frameworks.google_adk.increment", url)
        session = await service.get_session(**ids)
        assert session is not None
        assert session.state == {"count": 200}
        assert [event.actions.state_delta for event in session.events] == [
            {"count": number} for number in range(1, 201)
        ]
