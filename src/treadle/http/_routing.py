"""Routing: from the path of a request to the operations that it may mean."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Scope

from treadle.errors import InvalidValue
from treadle.http._input import Parameters
from treadle.http._operation import Operation


class Route(msgspec.Struct, frozen=True):
    """An operation, with what each request for it needs, which is found out once."""

    operation: Operation
    name: str
    """The method and the path."""
    places: tuple[tuple[str, int], ...]
    """The parameters of the path, and which of its segments they are."""
    parameters: Parameters | None
    """How the query is read; None if there is none."""
    is_safe: bool
    """It changes nothing."""

    @classmethod
    def to(cls, operation: Operation) -> "Route":
        """Return the route to an operation."""
        segments = _segments(operation.path)
        return cls(
            operation=operation,
            name=f"{operation.method} {operation.path}",
            places=tuple((each, segments.index(f"{{{each}}}")) for each in operation.ids),
            parameters=operation.parameters,
            is_safe=operation.is_safe,
        )

    def ids_in(self, segments: Sequence[str]) -> dict[str, str]:
        """Return the parameters of the path, by name."""
        return {name: segments[place] for name, place in self.places}


class _Node:
    """The routes whose paths end here, by their methods, and the next segments."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None


def allowed(routes: Mapping[str, Route]) -> str:
    """Return the methods of routes, as the header `Allow` has them."""
    return ", ".join(sorted({*routes, "HEAD"} if "GET" in routes else routes))


class Router:
    """Finds operations by their paths; a literal segment comes before a parameter.

    Raises:
        ValueError: two operations have one method and path.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(Route.to(operation))

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in _segments(route.operation.path):
            if segment.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.operation.method in node.routes:
            raise ValueError(f"there are two operations {route.name}")
        node.routes[route.operation.method] = route

    def find(self, segments: Sequence[str]) -> Mapping[str, Route] | None:
        """Return the routes to the operations of a path, by their methods; None if it has none."""
        node = self._root
        for segment in segments:
            following = node.literals.get(segment, node.parameter)
            if following is None:
                break
            node = following
        else:
            if node.routes:
                return node.routes
        return _search(self._root, segments, 0)


def _search(node: _Node, segments: Sequence[str], position: int) -> Mapping[str, Route] | None:
    """Find the routes where a literal leads nowhere, as in the path of a thread with its name."""
    if position == len(segments):
        return node.routes or None
    for following in (node.literals.get(segments[position]), node.parameter):
        if following is not None and (found := _search(following, segments, position + 1)):
            return found
    return None


def _segments(path: str) -> list[str]:
    return path.split("/")[1:]


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
    try:
        if b"%" not in raw:
            return raw.partition(b"?")[0].decode().split("/")[1 + mounted_at :]
        segments = raw.partition(b"?")[0].split(b"/")[1 + mounted_at :]
        return [
            (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
            for segment in segments
        ]
    except UnicodeDecodeError as error:
        raise InvalidValue("path", "it must be in UTF-8") from error
