"""URIs of stores for the command line of ADK: `treadle+sqlite:///agents.db`."""

import asyncio
from typing import Any

from google.adk.cli.service_registry import get_service_registry

import treadle
from treadle.integrations.google_adk._service import TreadleSessionService

_PREFIX = "treadle+"
_SCHEMES = ("file", "memory", "postgres", "postgresql", "sqlite")


def register_uris() -> None:
    """Let ADK's commands know the URIs of stores, with `treadle+` in front.

    A file `services.py` in the folder of the agents calls it; then `adk web`, `adk api_server` and
    `adk run` take `--session_service_uri treadle+sqlite:///agents.db`, or `treadle+postgresql://`
    with what follows it in the URL of a store.
    """
    registry = get_service_registry()
    for scheme in _SCHEMES:
        registry.register_session_service(_PREFIX + scheme, _service_at)


def _service_at(uri: str, **options: Any) -> TreadleSessionService:
    """Make a service for a URI.

    Args:
        uri: the URI.
        options: the folder of the agents, which is not needed, and `on_stale`.
    """
    options.pop("agents_dir", None)
    return _OpeningService(treadle.open_store(uri.removeprefix(_PREFIX)), **options)


class _OpeningService(TreadleSessionService):
    """A service that opens its store when it is first used: ADK makes it before its event loop."""

    def __init__(self, store: treadle.Store, **options: Any) -> None:
        super().__init__(store, **options)
        self._opening = asyncio.Lock()
        self._is_open = False

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _open_store(self) -> treadle.Store:
        async with self._opening:
            if not self._is_open:
                await self._store.open()
                self._is_open = True
        return self._store
