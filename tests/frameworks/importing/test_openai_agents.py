"""Sessions of the SDK's SQLite file come as they are."""

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession

from tests.frameworks.importing.runs import command, everything, run
from tests.marks import every_backend
from treadle import InvalidValue, Store
from treadle.integrations.openai_agents import TreadleSession, import_sessions

# The SDK's `AdvancedSQLiteSession` closes not all of its connections, which Python 3.13 says.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Make garbage go in the test that makes it, where the warning is expected."""
    yield
    gc.collect()


ITEMS: list[Any] = [
    {"role": "user", "content": "What is the weather?"},
    {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}", "id": "f1"},
    {"type": "function_call_output", "call_id": "c", "output": "sun"},
    {
        "type": "message",
        "role": "assistant",
        "id": "m1",
        "content": [{"type": "output_text", "text": "Sun.", "annotations": []}],
        "status": "completed",
    },
]


async def add(path: Path, session: str, items: list[Any]) -> None:
    source = SQLiteSession(session, path)
    await source.add_items(items)
    source.close()


@every_backend
async def test_sessions_are_imported_as_they_are(store: Store, tmp_path: Path) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    await add(path, "one", ITEMS)
    await add(path, "two", [{"role": "user", "content": str(number)} for number in range(1_200)])
    imported = await run(import_sessions, store, url)
    assert {name: (each.kind, each.items) for name, each in imported.items()} == {
        "one": ("created", 4),
        "two": ("created", 1_200),
    }
    assert await TreadleSession("one", store).get_items() == ITEMS
    before = await everything(store)
    again = await run(import_sessions, store, url)
    assert {each.kind for each in again.values()} == {"unchanged"}
    assert await everything(store) == before

    await add(path, "one", ITEMS[:1])
    assert (await run(import_sessions, store, url))["one"].items == 1
    assert await TreadleSession("one", store).get_items() == [*ITEMS, ITEMS[0]]


def say(text: str) -> list[Any]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": f"{text}!"}]


@every_backend
async def test_branches_of_a_session_come_as_threads_of_their_own(
    store: Store, tmp_path: Path
) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    source = AdvancedSQLiteSession(session_id="one", db_path=path, create_tables=True)
    await source.add_items([*say("first"), *say("second")])
    await source.create_branch_from_turn(2, "better")
    await source.add_items(say("other"))
    source.close()
    await add(path, "plain", ITEMS)
    imported = await run(import_sessions, store, url)
    assert {name: (each.kind, each.items, each.branches) for name, each in imported.items()} == {
        "one": ("created", 8, 1),
        "plain": ("created", 4, 0),
    }
    main, branch = TreadleSession("one", store), TreadleSession("one.better", store)
    assert await main.get_items() == [*say("first"), *say("second")]
    assert await branch.get_items() == [*say("first"), *say("other")]
    head = await store.threads.summary("one.better")
    assert head is not None
    assert head.parent_thread_id == "one"
    before = await everything(store)
    assert {each.kind for each in (await run(import_sessions, store, url)).values()} == {
        "unchanged"
    }
    assert await everything(store) == before


async def test_a_session_whose_id_no_thread_can_have_comes_with_a_quoted_one(
    store: Store, tmp_path: Path
) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    source = AdvancedSQLiteSession(session_id="anna/chat", db_path=path, create_tables=True)
    await source.add_items(say("first"))
    await source.create_branch_from_turn(1, "better")
    await source.add_items(say("other"))
    source.close()
    await add(path, "..", ITEMS)
    imported = await run(import_sessions, store, url)
    assert (imported["anna/chat"].kind, imported[".."].kind) == ("created", "failed")
    name = quote("anna/chat", safe="")
    assert await TreadleSession(name, store).get_items() == say("first")
    branch = await store.threads.summary("anna%2Fchat.better")
    assert branch is not None
    assert branch.parent_thread_id == name
    assert (await run(import_sessions, store, url))["anna/chat"].kind == "unchanged"


async def test_a_session_that_went_on_stays_and_one_that_differs_fails(
    store: Store, tmp_path: Path
) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    await add(path, "one", ITEMS)
    await add(path, "two", ITEMS)
    await TreadleSession("one", store).add_items([*ITEMS, ITEMS[0]])
    await TreadleSession("two", store).add_items(ITEMS[1:])
    imported = await run(import_sessions, store, url)
    assert {name: each.kind for name, each in imported.items()} == {
        "one": "unchanged",
        "two": "failed",
    }
    assert await TreadleSession("two", store).get_items() == ITEMS[1:]


@every_backend
async def test_two_imports_at_once_add_nothing_twice(store: Store, tmp_path: Path) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(600)]
    await add(path, "one", items)
    kinds = [
        each.kind
        for imported in await asyncio.gather(*(run(import_sessions, store, url) for _ in range(3)))
        for each in imported.values()
    ]
    # The one that has begun the thread fails if another one is faster with the next items.
    assert {"created", "extended"} & {*kinds}
    assert await TreadleSession("one", store).get_items() == items
    assert (await run(import_sessions, store, url))["one"].kind == "unchanged"


async def test_a_file_without_sessions_is_refused(store: Store, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(InvalidValue, match="no sessions"):
        await run(import_sessions, store, f"sqlite:///{tmp_path}/empty.db")


async def test_the_command_reports_what_failed(tmp_path: Path) -> None:
    await add(tmp_path / "x.db", "one", ITEMS)
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("INSERT INTO agent_messages (session_id, message_data) VALUES ('b', '{')")
    database.close()
    status, found, errors = command(
        *("--store", str(tmp_path / "store"), "--from", "openai-agents"),
        f"sqlite:///{tmp_path}/x.db",
    )
    assert (status, found["created"], found["failed"]) == (1, 1, 1)
    assert found["errors"][0]["name"] == "b"
    assert "1 conversation could not be imported" in errors


async def test_a_session_is_read_when_its_turn_comes(store: Store, tmp_path: Path) -> None:
    for name in ("one", "two"):
        await add(tmp_path / "x.db", name, ITEMS)
    imports = import_sessions(store, f"sqlite:///{tmp_path}/x.db")
    assert (await anext(imports)).name == "one"
    await add(tmp_path / "x.db", "two", ITEMS)
    assert [(each.name, each.items) async for each in imports] == [("two", 2 * len(ITEMS))]


@every_backend
async def test_imported_sessions_have_the_owner_that_is_given(store: Store, tmp_path: Path) -> None:
    path, url = tmp_path / "x.db", f"sqlite:///{tmp_path}/x.db"
    await add(path, "one", ITEMS)
    await run(import_sessions, store, url)
    await add(path, "two", ITEMS)
    await run(partial(import_sessions, resource_id="anna"), store, url)
    again = await run(partial(import_sessions, resource_id="ben"), store, url)
    assert {name: (each.kind, each.items) for name, each in again.items()} == {
        "one": ("failed", 0),
        "two": ("failed", 0),
    }
    assert "the thread 'one' has another owner" in str(again["one"].reason)
    assert (await store.erase("anna")).threads == 2
