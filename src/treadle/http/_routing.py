"""Routing: from the path of a request to the operations that it may mean."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from treadle.errors import InvalidValue
from treadle.http._operation import Operation


class _Node:
    """The operations whose paths end here, and the next segments."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None


class Found(NamedTuple):
    """The operations of a path by their methods, and what stands for its parameters."""

    operations: dict[str, Operation]
    values: tuple[str, ...]

    def allowed(self) -> str:
        """Return the methods, as the header `Allow` has them."""
        methods = set(self.operations)
        return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


class Router:
    """Finds operations by their paths; a literal segment comes before a parameter.

    Raises:
        ValueError: two operations have one method and path.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node = self._root
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if operation.method in node.operations:
            raise ValueError(f"there are two operations {operation.method} {operation.path}")
        node.operations[operation.method] = operation

    def find(self, segments: Sequence[str]) -> Found | None:
        """Return the operations of a path, or None."""
        return _find(self._root, segments, 0, ())


def _find(
    node: _Node, segments: Sequence[str], position: int, values: tuple[str, ...]
) -> Found | None:
    if position == len(segments):
        return Found(node.operations, values) if node.operations else None
    segment = segments[position]
    literal = node.literals.get(segment)
    found = _find(literal, segments, position + 1, values) if literal else None
    if found is None and node.parameter is not None:
        found = _find(node.parameter, segments, position + 1, (*values, segment))
    return found


def segments_of(scope: Scope) -> list[str]:
    """Return the segments of a request's path, below the path at which the app is mounted.

    Each is decoded by itself, so that an encoded slash is part of it.

    Raises:
        InvalidValue: the path is not in UTF-8.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # A proxy that cuts the prefix off says it in root_path, too.
    mounted_at = root.count("/") if root and path.startswith(f"{root}/") else 0
    raw: bytes = scope.get("raw_path") or path.encode()
    segments = raw.partition(b"?")[0].split(b"/")[1 + mounted_at :]
    try:
        return [
            (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
            for segment in segments
        ]
    except UnicodeDecodeError as error:
        raise InvalidValue("path", "it must be in UTF-8") from error
