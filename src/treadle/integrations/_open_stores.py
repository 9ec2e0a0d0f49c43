"""The kind of store that an adapter takes: one that is awaited, or a blocking one."""

from typing import TypeVar

import treadle
from treadle import InvalidValue

T = TypeVar("T")


def awaited_store(store: T) -> T:
    """Return a store whose calls are awaited.

    Raises:
        InvalidValue: it is something else, such as a blocking store.
    """
    if isinstance(store, treadle.Store):
        return store
    given = "one of `treadle.blocking.open_store`" if _is_blocking(store) else _kind_of(store)
    reason = f"its calls are awaited here: give one of `treadle.open_store`, not {given}"
    raise InvalidValue("store", reason)


def blocking_store(store: T) -> T:
    """Return a blocking store.

    Raises:
        InvalidValue: it is something else, such as a store whose calls are awaited.
    """
    if _is_blocking(store):
        return store
    is_awaited = isinstance(store, treadle.Store)
    given = "one of `treadle.open_store`" if is_awaited else _kind_of(store)
    reason = f"its calls block here: give one of `treadle.blocking.open_store`, not {given}"
    raise InvalidValue("store", reason)


def _is_blocking(store: object) -> bool:
    return type(store).__module__.startswith("treadle.blocking")  # without importing it


def _kind_of(store: object) -> str:
    return f"a {type(store).__name__}"
