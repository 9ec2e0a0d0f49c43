"""JSON Patch (RFC 6902): the same change as an operation of a patch, for clients that know it.

The operations of a patch do more than those of JSON Patch: they create objects on the way, and find
what they remove. So what they become depends on the document to which they are applied.
"""

from typing import cast

from treadle.core.codec import Json
from treadle.core.patches import (
    Append,
    Decrement,
    Delete,
    Increment,
    Insert,
    LatticeMerge,
    MergeObject,
    Op,
    Path,
    Remove,
    Set,
)

Edit = dict[str, Json]
"""An operation of JSON Patch."""

_NOTHING = object()


class Edits:
    """Collects what the operations of patches are in JSON Patch, while they are applied."""

    def __init__(self) -> None:
        self.items: list[Edit] = []
        """Their values are those of the patches, which nobody changes, or numbers."""

    def before(self, document: Json, op: Op) -> None:
        """Note an operation that fits, before it is applied to a document."""
        match op:
            case Set(path, value) | LatticeMerge(path, value):
                self._set(document, path, value)
            case Append(path, value):
                self._append(document, path, value)
            case MergeObject(path, value):
                self._merge(document, path, value)
            case Insert(path, index, value):
                self._add("add", (*path, index), value)
            case Delete(path):
                self._delete(document, path)
            case Increment() | Decrement() | Remove():
                pass  # what they do is known afterwards

    def removed(self, path: Path, position: int) -> None:
        """Note that an item of an array was removed."""
        self.items.append({"op": "remove", "path": pointer((*path, position))})

    def replaced(self, path: Path, value: Json) -> None:
        """Note that a value was replaced."""
        self._add("replace", path, value)

    def _set(self, document: Json, path: Path, value: Json) -> None:
        """Put a value where a set does: at the first thing on its way that is not there."""
        kind = "replace"
        depth = 0
        target = document
        for segment in path:
            inner = _inside(target, segment)
            if inner is _NOTHING:
                if isinstance(target, dict):
                    depth, kind = depth + 1, "add"
                break
            target, depth = inner, depth + 1
        for segment in reversed(path[depth:]):
            value = {str(segment): value}
        self._add(kind, path[:depth], value)

    def _append(self, document: Json, path: Path, value: Json) -> None:
        if isinstance(_at(document, path), list):
            self._add("add", (*path, "-"), value)
        else:
            self._set(document, path, [value])

    def _merge(self, document: Json, path: Path, value: Json) -> None:
        if not isinstance(value, dict) or not isinstance(_at(document, path), dict):
            self._set(document, path, value)
            return
        for key, item in value.items():
            self._add("add", (*path, key), item)

    def _delete(self, document: Json, path: Path) -> None:
        if not path:
            self._add("replace", path, None)
        elif _at(document, path) is not _NOTHING:
            self.items.append({"op": "remove", "path": pointer(path)})

    def _add(self, kind: str, path: Path, value: Json) -> None:
        self.items.append({"op": kind, "path": pointer(path), "value": value})


def pointer(path: Path) -> str:
    """Return a path as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{_escaped(segment)}" for segment in path)


def _escaped(segment: str | int) -> str:
    return str(segment).replace("~", "~0").replace("/", "~1")


def _at(document: Json, path: Path) -> object:
    target: object = document
    for segment in path:
        target = _inside(target, segment)
        if target is _NOTHING:
            break
    return target


def _inside(target: object, segment: str | int) -> object:
    """The value of a key or at an index; `_NOTHING` if there is none."""
    if isinstance(segment, str) and isinstance(target, dict):
        return cast("dict[str, object]", target).get(segment, _NOTHING)
    if isinstance(segment, int) and isinstance(target, list):
        items = cast("list[object]", target)
        return items[segment] if segment < len(items) else _NOTHING
    return _NOTHING
