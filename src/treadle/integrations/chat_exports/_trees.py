"""The branches of a conversation, whose messages form a tree."""

from collections.abc import Mapping

import msgspec

from treadle.errors import InvalidValue


class Branch(msgspec.Struct, frozen=True):
    """A way through the tree, from a message without a parent to one without children."""

    start: str | None
    """The first node that is in no branch before it; None for the current branch."""
    last: str


class Tree:
    """Nodes with their parents.

    Raises:
        InvalidValue: a node is its own ancestor.
    """

    def __init__(self, parents: Mapping[str, str | None]) -> None:
        self._parents = {
            node: parent if parent in parents else None for node, parent in parents.items()
        }
        self._children: dict[str | None, list[str]] = {}
        for node, parent in self._parents.items():
            self._children.setdefault(parent, []).append(node)
        self.order = self._order()
        """All nodes, parents before their children."""

    def parent(self, node: str) -> str | None:
        """Return the parent of a node."""
        return self._parents[node]

    def newest_leaf(self, times: Mapping[str, int | None]) -> str | None:
        """Return the node without children that was written last; None if there is no node."""
        leaves = (node for node in reversed(self.order) if node not in self._children)
        return max(leaves, key=lambda node: times.get(node) or 0, default=None)

    def branches(self, current: str) -> list[Branch]:
        """Return the branch that `current` is in, and then all others.

        A branch follows the first child of each node, and each further child starts one. So a
        branch keeps its start while the conversation grows.
        """
        followed = {parent: children[0] for parent, children in self._children.items()}
        node: str | None = current
        while node is not None:
            followed[self._parents[node]] = node
            node = self._parents[node]
        starts = [node for node in self.order if followed[self._parents[node]] != node]
        return [
            Branch(None, _follow(followed, current)),
            *(Branch(start, _follow(followed, start)) for start in starts),
        ]

    def path(self, last: str) -> list[str]:
        """Return the nodes from the first one to `last`."""
        found: list[str] = []
        node: str | None = last
        while node is not None:
            found.append(node)
            node = self._parents[node]
        return found[::-1]

    def sums(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return for each node the sum of the sizes on the path to it."""
        result: dict[str | None, int] = {None: 0}
        for node in self.order:
            result[node] = result[self._parents[node]] + sizes[node]
        return {node: result[node] for node in self.order}

    def _order(self) -> list[str]:
        found: list[str] = []
        waiting = self._children.get(None, [])[::-1]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += self._children.get(node, [])[::-1]
        if len(found) < len(self._parents):
            circle = next(iter(self._parents.keys() - set(found)))
            raise InvalidValue("messages", f"a message is its own ancestor, such as {circle!r}")
        return found


def _follow(followed: Mapping[str | None, str], node: str) -> str:
    while node in followed:
        node = followed[node]
    return node
