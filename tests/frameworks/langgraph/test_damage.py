"""A damaged part of a checkpoint is an error, and no older or smaller state is taken for it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.langgraph.graphs import put, thread, values_of
from treadle import CorruptRecord, open_store
from treadle.integrations.langgraph import TreadleSaver


def damage_sqlite(folder: Path, key: tuple[str, ...]) -> None:
    with sqlite3.connect(folder / "store.db") as database:
        statement = "UPDATE documents SET value = '{' WHERE collection = 'langgraph.t' AND key = ?"
        assert database.execute(statement, ("\x1f".join(key),)).rowcount == 1
    database.close()


def damage_files(folder: Path, key: tuple[str, ...]) -> None:
    [path] = (folder / "store").rglob("langgraph.t.jsonl")
    text = ",".join(f'"{part}"' for part in key).encode()
    lines = path.read_bytes().splitlines(keepends=True)
    [at] = [number for number, line in enumerate(lines) if b"[" + text + b"]" in line]
    lines[at] = lines[at].replace(b'"value"', b'"val\xffe"')
    path.write_bytes(b"".join(lines))


KINDS = {"sqlite": damage_sqlite, "files": damage_files}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [(), ("task", "001000")], ids=["checkpoint", "write"])
async def test_damage_is_an_error_for_what_it_is_part_of(
    kind: str, part: tuple[str, ...], tmp_path: Path
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/store.db", "files": str(tmp_path / "store")}[kind]
    async with open_store(url) as store:
        saver = TreadleSaver(store)
        older = await put(saver, thread(), {"a": 1})
        newest = await put(saver, older, {"a": 2})
        await saver.aput_writes(newest, [("a", 3)], "task")
        await put(saver, thread("u"), {"a": 4})
    KINDS[kind](tmp_path, ("", "c", "", newest["configurable"]["checkpoint_id"], *part))
    async with open_store(url) as store:
        saver = TreadleSaver(store)
        for config in (thread(), newest):
            with pytest.raises(CorruptRecord):
                await saver.aget_tuple(config)
        with pytest.raises(CorruptRecord):
            await all_of(saver)
        for refused in (saver.aprune(["t"]), saver.acopy_thread("t", "copy")):
            with pytest.raises(CorruptRecord):
                await refused
        assert await saver.aget_tuple(thread("copy")) is None
        assert await values_of(saver, older) == {"a": 1}
        assert await values_of(saver, thread("u")) == {"a": 4}
        await saver.adelete_thread("t")
        assert not (await store.documents.list("langgraph.t")).items


async def all_of(saver: TreadleSaver) -> list[Any]:
    return [found async for found in saver.alist(thread())]
