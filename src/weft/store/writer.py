"""What the store's three parts write through."""

from typing import Protocol

from weft.core.commands import Command, Result


class Writer(Protocol):
    """Commits one command and gives its result."""

    async def __call__(self, command: Command) -> Result:
        """Commit `command` as a batch of one."""
        ...
