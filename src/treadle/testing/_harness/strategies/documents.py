"""Commands about documents, from few keys, so that they meet each other."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from treadle import Document, DocumentName
from treadle.core.commands import AnyCommand
from treadle.core.document_expiry import PurgeDocuments
from treadle.core.document_keys import Key
from treadle.core.documents import (
    CheckDocument,
    CreateDocument,
    DeleteDocument,
    DeleteDocuments,
    EnsureDocument,
    PutDocument,
    TouchDocument,
)
from treadle.core.restoring import RestoreDocument
from treadle.testing._harness.strategies.models import json_values
from treadle.testing._harness.strategies.times import KEPT, nows, times

COLLECTIONS = ("c", "c0", "é c")
KEYS: tuple[Key, ...] = (
    ("a",),
    ("a", ""),
    ("a", "b"),
    ("a", "b", "c"),
    ("a!",),
    ("ab",),
    ("b", "\x7f"),
    ("\uffff",),
    ("🧵",),
)
"""Neighbours: keys below one of them, and keys that only begin with the same text."""

collections = st.sampled_from(COLLECTIONS)
keys = st.sampled_from(KEYS)
prefixes: st.SearchStrategy[Key] = st.sampled_from([(), (), ("a",), ("a", "b"), ("b",)])
names = st.builds(DocumentName, collection=collections, key=keys)
ends = st.none() | st.none() | keys
values = st.sampled_from([None, 1, 1.0, {"extra": [True]}, "\x00\n"]) | json_values


@lru_cache(KEPT)
def expiries(now: int) -> st.SearchStrategy[int | None]:
    """When documents expire: mostly never."""
    return st.none() | st.none() | times(now)


def expiry_fields(now: int) -> st.SearchStrategy[dict[str, Any]]:
    """When documents that are written expire: at a time, or some time after the commit."""
    at = expiries(now).map(lambda time: {"expires_at": time})
    return at | at | st.sampled_from([0, 1, 1_000]).map(lambda length: {"expires_in_ms": length})


@st.composite
def writes(draw: st.DrawFn, now: int, versions: Mapping[tuple[str, ...], int]) -> AnyCommand:
    """A write to one document, or a check of it, mostly at the right version."""
    collection, key = draw(collections), draw(keys)
    version = versions.get((collection, *key), 0)
    about: dict[str, Any] = {"collection": collection, "key": key, "now": draw(nows(now))}
    expiry = draw(expiry_fields(now))
    new: dict[str, Any] = {"value": draw(values), **expiry}
    guard: dict[str, Any] = {
        "expected": draw(st.sampled_from([None, None, version, version, 0, version + 1]))
    }
    choices: list[AnyCommand] = [
        PutDocument(**about, **new, **guard),
        PutDocument(**about, **new, **guard),
        CreateDocument(**about, **new),
        EnsureDocument(**about, **new),
        DeleteDocument(**about, **guard),
        CheckDocument(**about, **guard),
        TouchDocument(**about, **expiry),
    ]
    return draw(st.sampled_from(choices))


@lru_cache(KEPT)
def seldom(now: int) -> tuple[st.SearchStrategy[AnyCommand], ...]:
    """Commands about many documents at once, and copies of documents."""
    return (
        st.builds(
            DeleteDocuments,
            collection=collections,
            prefix=prefixes,
            after=ends,
            before=ends,
            now=nows(now),
        ),
        st.builds(
            PurgeDocuments,
            expired_before=times(now),
            among=st.none() | st.lists(names, max_size=4).map(tuple),
            limit=st.sampled_from([1, 2, 1_000]),
        ),
        st.builds(
            RestoreDocument,
            document=st.builds(
                Document,
                collection=collections,
                key=keys,
                value=values,
                version=st.sampled_from([1, 7, 2**53]),
                created_at=times(now),
                updated_at=times(now),
                expires_at=expiries(now),
                extra=st.sampled_from([{}, {}, {"later": 1.0}]),
            ),
        ),
    )
