"""URIs of stores for ADK's commands, as `adk web` uses them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.adk.cli import service_registry
from google.adk.cli.service_registry import load_services_module
from google.adk.cli.utils.service_factory import create_session_service_from_options
from google.adk.errors import StaleSessionError

from tests.frameworks.google_adk.events import APP, USER, said
from treadle import InvalidValue, open_store
from treadle.integrations.google_adk import TreadleSessionService, register_uris
from treadle.integrations.google_adk._uris import _OpeningService


@pytest.fixture(autouse=True)
def new_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry of ADK that other tests do not see."""
    monkeypatch.setattr(service_registry, "_service_registry_instance", None)
    monkeypatch.delitem(__import__("sys").modules, "services", raising=False)
    yield
    monkeypatch.delitem(__import__("sys").modules, "services", raising=False)


def service_at(folder: Path, uri: str) -> _OpeningService:
    service = create_session_service_from_options(base_dir=folder, session_service_uri=uri)
    assert isinstance(service, _OpeningService)
    return service


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite", "postgres"])
async def test_the_commands_of_adk_take_the_uri_of_a_store(
    kind: str, new_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "services.py").write_text(
        "from treadle.integrations.google_adk import register_uris\nregister_uris()\n"
    )
    load_services_module(str(tmp_path))
    url = new_url(kind)
    uri = f"treadle+file:{url}" if kind == "files" else f"treadle+{url}"
    service = service_at(tmp_path, uri)
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    await service.append_event(session, said())
    found = await service.get_session(app_name=APP, user_id=USER, session_id="s")
    await service.close()
    assert found == session
    if kind != "memory":
        async with open_store(url) as store:
            other = TreadleSessionService(store)
            assert await other.get_session(app_name=APP, user_id=USER, session_id="s") == session


async def test_a_uri_may_come_with_options(tmp_path: Path) -> None:
    register_uris()
    service = create_session_service_from_options(
        base_dir=tmp_path,
        session_service_uri=f"treadle+sqlite:///{tmp_path}/a.db",
        session_db_kwargs={"on_stale": "append"},
    )
    assert isinstance(service, _OpeningService)
    session = await service.create_session(app_name=APP, user_id=USER, session_id="s")
    stale = session.model_copy(deep=True)
    for each in (session, stale):
        await service.append_event(each, said())
    await service.close()
    strict = service_at(tmp_path, f"treadle+sqlite:///{tmp_path}/a.db")
    with pytest.raises(StaleSessionError):
        await strict.append_event(session, said())
    await strict.close()


def test_a_wrong_uri_is_refused_when_the_command_begins(tmp_path: Path) -> None:
    register_uris()
    with pytest.raises(InvalidValue, match="three slashes"):
        service_at(tmp_path, "treadle+sqlite://agents.db")
