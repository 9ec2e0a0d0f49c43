"""The blocking store has what the asynchronous one has, in its present form."""

import inspect
import re
from collections.abc import Callable

import pytest

import treadle
from tests.blocking.twin import MODULES, REPLACED, SOURCE, TWINS, written
from treadle import blocking
from treadle.blocking import _live
from treadle.store import live

PAIRS = [
    (treadle.Store, blocking.Store),
    (treadle.Threads, blocking.Threads),
    (treadle.Runs, blocking.Runs),
    (treadle.Mailboxes, blocking.Mailboxes),
    (treadle.Documents, blocking.Documents),
    (live.Live, _live.Live),
    (live.LiveMessage, _live.LiveMessage),
    (treadle.Batch, blocking.Batch),
]


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """The parameters; a default that is a function is not compared, only that there is one."""
    return [
        each.replace(default="a function") if inspect.isfunction(each.default) else each
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_what_make_twin_writes(name: str) -> None:
    assert (TWINS / f"{name}.py").read_text(encoding="utf-8") == written(name), "run `make twin`"


@pytest.mark.parametrize(("original", "twin"), PAIRS)
def test_everything_public_is_there_with_the_same_arguments(original: type, twin: type) -> None:
    names = public(original)
    assert names - public(twin) == set()
    fields = getattr(original, "__annotations__", {})
    assert fields.keys() <= getattr(twin, "__annotations__", {}).keys()
    for name in sorted(names):
        method = getattr(original, name)
        if inspect.isfunction(method):
            assert parameters(getattr(twin, name)) == parameters(method), name


def test_a_store_is_opened_with_the_same_arguments() -> None:
    assert parameters(blocking.open_store) == parameters(treadle.open_store)


@pytest.mark.parametrize(("_original", "twin"), PAIRS)
def test_no_docstring_speaks_of_await(_original: type, twin: type) -> None:
    docs = [inspect.getdoc(getattr(twin, name)) or "" for name in public(twin)]
    found = [doc for doc in docs if re.search(r"\bawait|`async (for|with)|asyncio", doc)]
    assert found == []


def test_every_replacement_of_words_is_used() -> None:
    files = [*(SOURCE / "store").glob("*.py"), SOURCE / "__init__.py"]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in files)
    assert [words for words in REPLACED if words not in text] == []
