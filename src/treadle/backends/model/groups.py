"""Ids by a key that several have, such as the threads of an owner."""

from collections.abc import Collection, Iterator


class Groups:
    """Sets of ids. Many have one member, and a set takes four times the memory of an id."""

    def __init__(self) -> None:
        self._ids: dict[str, str | set[str]] = {}

    def of(self, key: str) -> Collection[str]:
        """The ids at a key, in no order."""
        found = self._ids.get(key, ())
        return (found,) if isinstance(found, str) else found

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each key with each of its ids; nothing may change meanwhile."""
        for key in self._ids:
            for member in self.of(key):
                yield key, member

    def add(self, key: str, member: str) -> None:
        """Add an id; one that is there stays."""
        found = self._ids.setdefault(key, member)
        if isinstance(found, set):
            found.add(member)
        elif found != member:
            self._ids[key] = {found, member}

    def discard(self, key: str, member: str) -> None:
        """Remove an id if it is there."""
        found = self._ids.get(key)
        if isinstance(found, set):
            found.discard(member)
            if not found:
                del self._ids[key]
        elif found == member:
            del self._ids[key]
