"""What a search and a listing of LangGraph's `BaseStore` ask for, and how values are compared."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.store.base import ListNamespacesOp, MatchCondition

_FILTER_KEY = re.compile(r"[\w.-]+")
Namespace = tuple[str, ...]


def check_filter(filter: Mapping[str, Any] | None) -> None:
    """Refuse keys that other stores refuse, too, because they are parts of SQL there.

    Raises:
        ValueError: there is one.
    """
    for key in filter or ():
        if not _FILTER_KEY.fullmatch(key):
            raise ValueError(f"Invalid filter key: {key!r}; use letters, digits, _, - and .")


def passes(value: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    """Return whether a value has all that a filter asks for."""
    return all(_matches(_find(value, key), wanted) for key, wanted in filter.items())


def select_namespaces(op: ListNamespacesOp, namespaces: Iterable[Namespace]) -> list[Namespace]:
    """Return the page of the namespaces that a listing asks for."""
    conditions = op.match_conditions or ()
    found = {
        namespace[: op.max_depth]
        for namespace in namespaces
        if all(_has(namespace, condition) for condition in conditions)
    }
    return sorted(found)[op.offset : op.offset + op.limit]


def _find(value: Any, key: str) -> Any:
    if key in value:
        return value[key]
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return bool(value == wanted)
    if any(key.startswith("$") for key in wanted):
        return all(_compare(value, operator, other) for operator, other in wanted.items())
    return isinstance(value, Mapping) and all(
        _matches(value.get(key), each) for key, each in wanted.items()
    )


def _compare(value: Any, operator: str, other: Any) -> bool:
    if operator == "$eq":
        return bool(value == other)
    if operator == "$ne":
        return bool(value != other)
    if operator not in ("$gt", "$gte", "$lt", "$lte"):
        raise ValueError(f"Unsupported operator: {operator}")
    comparable = all(isinstance(each, int | float) for each in (value, other)) or all(
        isinstance(each, str) for each in (value, other)
    )
    if not comparable:
        return False
    return bool(
        (value == other and operator.endswith("e"))
        or (value > other and operator.startswith("$g"))
        or (value < other and operator.startswith("$l"))
    )


def _has(namespace: Namespace, condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(namespace) < len(path):
        return False
    match condition.match_type:
        case "prefix":
            labels = namespace[: len(path)]
        case "suffix":
            labels = namespace[len(namespace) - len(path) :]
        case _:
            raise ValueError(f"Unsupported match type: {condition.match_type}")
    return all(wanted in ("*", label) for label, wanted in zip(labels, path, strict=True))
