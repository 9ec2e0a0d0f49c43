"""Checkpoints of LangGraph's savers come as they are, and a graph goes on from them."""

import operator
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import langgraph.channels
import psycopg
import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from tests.cli.support import run as run_command
from tests.frameworks.importing.runs import command, everything, run
from tests.marks import every_backend
from treadle import InvalidValue, Store, open_store
from treadle.integrations.langgraph import TreadleSaver, import_checkpoints


class Profile(BaseModel):
    """A class of the application."""

    name: str


class State(TypedDict, total=False):
    """The state of the graph."""

    messages: Annotated[list[AnyMessage], add_messages]
    seen: Annotated[list[int], operator.add]
    profile: Profile
    numbers: dict[int, bytes]


def graph(saver: BaseCheckpointSaver[Any]) -> Any:
    def think(state: State) -> State:
        count = len(state["messages"])
        return {
            "messages": [AIMessage(f"answer {count}")],
            "seen": [count],
            "profile": Profile(name=f"user {count}"),
            "numbers": {count: b"\x00\xff"},
        }

    def ask(state: State) -> State:
        if state["messages"][0].content == "ask":
            return {"messages": [HumanMessage(str(interrupt("sure?")))]}
        return {}

    builder = StateGraph(State)
    builder.add_node("think", think)
    builder.add_node("ask", ask)
    builder.add_edge(START, "think")
    builder.add_edge("think", "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


def extended(value: list[str] | None, writes: Sequence[list[str]]) -> list[str]:
    return [*(value or ()), *chain.from_iterable(writes)]


# A LangGraph before 1.2 has none.
_DeltaChannel: Any = getattr(langgraph.channels, "DeltaChannel", lambda _: operator.add)


class Log(TypedDict, total=False):
    """A state that is rebuilt from what its tasks have written."""

    said: Annotated[list[str], _DeltaChannel(extended)]


def fan_out(saver: BaseCheckpointSaver[Any]) -> Any:
    def speak(name: str) -> Any:
        return lambda _: {"said": [name]}

    builder = StateGraph(Log)
    for number in range(8):
        name = f"node {number}"
        builder.add_node(name, speak(name))
        builder.add_edge(START, name)
        builder.add_edge(name, "last")
    builder.add_node("last", speak("last"))
    builder.add_edge("last", END)
    return builder.compile(checkpointer=saver)


def config(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def say(saver: BaseCheckpointSaver[Any], thread: str, text: str) -> None:
    await graph(saver).ainvoke({"messages": [HumanMessage(text)]}, config(thread))


async def tuples(saver: BaseCheckpointSaver[Any]) -> list[CheckpointTuple]:
    found = [each async for each in saver.alist(None)]
    return sorted(found, key=lambda each: str(sorted(each.config["configurable"].items())))


@asynccontextmanager
async def sqlite(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        yield saver


@every_backend
async def test_checkpoints_of_sqlite_are_imported_as_they_are(store: Store, tmp_path: Path) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        for text in ("hello", "more", "and more"):
            await say(source, "one", text)
        await say(source, "two", "ask")
        expected = await tuples(source)
    url = f"sqlite:///{tmp_path}/x.db"
    imported = await run(import_checkpoints, store, url)
    assert {name: each.kind for name, each in imported.items()} == {
        "one": "created",
        "two": "created",
    }
    assert sum(each.items for each in imported.values()) == len(expected)
    target = TreadleSaver(store)
    assert await tuples(target) == expected

    before = await everything(store)
    again = await run(import_checkpoints, store, url)
    assert {each.kind for each in again.values()} == {"unchanged"}
    assert await everything(store) == before

    answered = await graph(target).ainvoke(Command(resume="yes"), config("two"))
    assert [message.content for message in answered["messages"]] == ["ask", "answer 1", "yes"]
    assert answered["profile"] == Profile(name="user 1")
    assert answered["numbers"] == {1: b"\x00\xff"}


@every_backend
async def test_what_parallel_tasks_have_written_keeps_its_order(
    store: Store, tmp_path: Path
) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        said = await fan_out(source).ainvoke({"said": ["first"]}, config("one"))
        expected = await tuples(source)
    await run(import_checkpoints, store, f"sqlite:///{tmp_path}/x.db")
    target = TreadleSaver(store)
    assert await tuples(target) == expected
    assert (await fan_out(target).aget_state(config("one"))).values == said


async def test_a_database_of_an_older_saver_is_imported(store: Store, tmp_path: Path) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "ask")
        expected = await tuples(source)
        await source.conn.execute("ALTER TABLE writes DROP COLUMN task_path")
        await source.conn.commit()
    imported = await run(import_checkpoints, store, f"sqlite:///{tmp_path}/x.db")
    assert [(each.kind, each.reason) for each in imported.values()] == [("created", None)]
    assert await tuples(TreadleSaver(store)) == expected


async def test_a_copy_that_is_in_no_wal_mode_is_imported_and_not_changed(
    store: Store, tmp_path: Path
) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "hello")
        expected = await tuples(source)
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    before = (tmp_path / "copy.db").read_bytes()
    imported = await run(import_checkpoints, store, f"sqlite:///{tmp_path}/copy.db")
    assert {name: (each.kind, each.reason) for name, each in imported.items()} == {
        "one": ("created", None)
    }
    assert await tuples(TreadleSaver(store)) == expected
    assert (tmp_path / "copy.db").read_bytes() == before


async def test_what_is_new_is_added(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "hello")
    await run(import_checkpoints, store, url)
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "more")
        await say(source, "two", "hello")
        expected = await tuples(source)
    imported = await run(import_checkpoints, store, url)
    assert {name: each.kind for name, each in imported.items()} == {
        "one": "extended",
        "two": "created",
    }
    assert await tuples(TreadleSaver(store)) == expected


@pytest.fixture
def schema_url(postgres_url: str) -> Iterator[str]:
    """The URL of a schema that has no tables yet."""
    schema = f"lg_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{schema}"')
    joint = "&" if "?" in postgres_url else "?"
    yield f"{postgres_url}{joint}options=-csearch_path%3D{schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


async def test_checkpoints_of_postgresql_are_imported_as_they_are(
    store: Store, schema_url: str
) -> None:
    with pytest.raises(InvalidValue, match="no checkpoints"):
        await run(import_checkpoints, store, schema_url)
    async with AsyncPostgresSaver.from_conn_string(schema_url) as source:
        await source.setup()
        for text in ("hello", "more"):
            await say(source, "one", text)
        await say(source, "two", "ask")
        said = await fan_out(source).ainvoke({"said": ["first"]}, config("three"))
        expected = await tuples(source)
    imported = await run(import_checkpoints, store, schema_url)
    assert {each.kind for each in imported.values()} == {"created"}
    target = TreadleSaver(store)
    assert await tuples(target) == expected
    assert (await fan_out(target).aget_state(config("three"))).values == said
    again = await run(import_checkpoints, store, schema_url)
    assert {each.kind for each in again.values()} == {"unchanged"}


async def test_a_database_of_an_older_saver_for_postgresql_is_imported(
    store: Store, schema_url: str
) -> None:
    async with AsyncPostgresSaver.from_conn_string(schema_url) as source:
        await source.setup()
        await say(source, "one", "ask")
        await say(source, "two", "hello")
        expected = await tuples(source)
    with psycopg.connect(schema_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE checkpoint_writes DROP COLUMN task_path")
    imported = await run(import_checkpoints, store, schema_url)
    assert {(each.kind, each.reason) for each in imported.values()} == {("created", None)}
    assert await tuples(TreadleSaver(store)) == expected


async def test_a_damaged_thread_is_reported_and_the_others_are_imported(
    store: Store, tmp_path: Path
) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "hello")
        await say(source, "two", "hello")
        await source.conn.execute(
            "UPDATE checkpoints SET checkpoint = x'c1' WHERE thread_id = 'one'"
        )
        await source.conn.commit()
    imported = await run(import_checkpoints, store, f"sqlite:///{tmp_path}/x.db")
    assert {name: each.kind for name, each in imported.items()} == {
        "one": "failed",
        "two": "created",
    }
    assert imported["one"].reason


async def test_what_is_no_database_of_langgraph_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 200)
    for source, match in (
        (f"sqlite:///{tmp_path}/none.db", "there is no file"),
        (f"sqlite:///{tmp_path}/text.db", "no checkpoints"),
        (str(tmp_path), "name a database"),
    ):
        with pytest.raises(InvalidValue, match=match):
            await run(import_checkpoints, store, source)
    assert not (tmp_path / "none.db").exists()


def test_the_command_names_the_package_that_reads_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.db").touch()
    monkeypatch.setitem(sys.modules, "aiosqlite", None)
    source = f"sqlite:///{tmp_path}/x.db"
    result = run_command("import", "--store", tmp_path / "store", "--from", "langgraph", source)
    assert result.exit_code == 1
    assert "pip install 'langgraph-checkpoint-sqlite'" in result.output


async def test_the_command_imports_and_says_what_it_did(tmp_path: Path) -> None:
    async with sqlite(tmp_path / "x.db") as source:
        await say(source, "one", "hello")
        expected = await tuples(source)
    store = f"sqlite:///{tmp_path}/store.db"
    arguments = ("--store", store, "--from", "langgraph", f"sqlite:///{tmp_path}/x.db")
    status, found, _ = command(*arguments)
    assert (status, found["created"], found["items"]) == (0, 1, len(expected))
    status, found, _ = command(*arguments)
    assert (status, found["unchanged"], found["items"]) == (0, 1, 0)
    async with open_store(store) as opened:
        assert await tuples(TreadleSaver(opened)) == expected


@pytest.mark.parametrize("password", ["secret", "sec%ret", "sec ret"])
async def test_a_server_that_cannot_be_asked_is_refused_without_its_password(
    store: Store, password: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await run(import_checkpoints, store, f"postgresql://me:{password}@localhost:1/x")
    assert password not in str(refused.value)
    if password != "sec ret":  # whether that is a URL depends on psycopg's version
        assert ("cannot be read: " in str(refused.value)) == (password == "secret")
