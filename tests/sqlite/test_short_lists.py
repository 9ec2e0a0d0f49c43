"""A query with a list of one value, or none, has a text of its own, and the same answer."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from itertools import chain, product
from typing import Any

import pytest

from tests.sqlite.support import filled
from treadle.backends.sql.program import Program, Read
from treadle.backends.sql.rows import document_list, pair_list
from treadle.backends.sql.tables import to_json
from treadle.backends.sqlite._execution import TEXTS, run
from treadle.core.document_keys import row_key

IDS = ("t", "box", "queued", "held", "r", "no such id")
PAIRS = [("box", "known"), ("t", "m1")]
RANGES = [("b", "c"), ("x", "y")]
KEYS = ("ann", "no such key")
DOCUMENTS = [row_key("memories", (key,)) for key in KEYS]
NUMBERS = (0, 1, 2)
OTHERS = {
    "ended_before": 2**60,
    "number": 5,
    "thread_id": "t",
    "after_version": 0,
    "now": 0,
    "collection": "memories",
    "look": 100,
}


def lists_of(name: str) -> tuple[str, ...]:
    """The lists that a query reads from JSON."""
    return tuple(dict.fromkeys(re.findall(r"json_each\(:(\w+)\)", TEXTS.of(Read(name, {})))))


def queries() -> Iterator[str]:
    folder = files("treadle.backends.sql") / "queries"
    for file in folder.iterdir():
        name = file.name.removesuffix(".sql")
        if "." not in name and not name.startswith(("purge", "ignore")) and lists_of(name):
            yield name


QUERIES = sorted(queries())


def values_of(query: str, name: str) -> list[list[Any]]:
    """Lists of one value, and an empty one."""
    if query == "load_documents_for_update":
        return [[], *(document_list([each]) for each in DOCUMENTS)]
    if name == "ranges":
        return [[], *([each] for each in RANGES)]
    if name == "pairs":
        return [[], *(pair_list([pair]) for pair in PAIRS)]
    values = {"keys": KEYS, "positions": NUMBERS}.get(name, IDS)
    return [[], *([each] for each in values)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = filled(tmp_path_factory.mktemp("filled") / "store.db")
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def answer(connection: sqlite3.Connection, name: str, values: dict[str, Any]) -> list[Any]:
    def ask() -> Program[list[Any]]:
        (rows,) = yield (Read(name, values),)
        return rows

    return sorted(run(connection, ask()), key=repr)


def test_lists_are_in_the_queries_of_commits_and_claims() -> None:
    assert {"load_threads_for_update", "load_message_ids", "load_claims"} <= set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_a_short_list_has_the_answer_of_its_json(database: sqlite3.Connection, name: str) -> None:
    found = 0
    for lists in product(*(values_of(name, each) for each in lists_of(name))):
        few = dict(zip(lists_of(name), lists, strict=True))
        plain = {key: to_json(each) for key, each in few.items()}
        rows = answer(database, name, OTHERS | few)
        assert rows == answer(database, name, OTHERS | plain)
        found += len(rows)
    assert found


def test_a_longer_list_has_the_answers_of_its_values(database: sqlite3.Connection) -> None:
    ids = ["box", "r", "t"]
    alone = [answer(database, "load_threads_for_update", {"ids": [each]}) for each in ids]
    assert answer(database, "load_threads_for_update", {"ids": ids}) == [*chain(*alone)]


def test_a_list_of_one_value_is_not_read_from_json() -> None:
    for name in QUERIES:
        for count in (0, 1):
            text = TEXTS.of_read(name, (), "ASC", (), *((each, count) for each in lists_of(name)))
            assert not re.search(r"json_each\(:", text), (name, count)
