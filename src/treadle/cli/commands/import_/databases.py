"""The importers of other programs' data, and what `treadle import --from` reports of them."""

from collections import Counter
from functools import partial
from importlib import import_module
from typing import cast

from treadle.cli.terminal.counts import counted
from treadle.cli.terminal.failure import Failure
from treadle.core.codec import Json
from treadle.integrations.importing import Imported, Importer, ImporterForOwner

_EXPORTS = "treadle.integrations.chat_exports"

IMPORTERS = {
    "chatgpt": (_EXPORTS, "import_chatgpt"),
    "claude": (_EXPORTS, "import_claude"),
    "google-adk": ("treadle.integrations.google_adk", "import_sessions"),
    "langgraph": ("treadle.integrations.langgraph", "import_checkpoints"),
    "openai-agents": ("treadle.integrations.openai_agents", "import_sessions"),
}
"""The module and the function for each; importing the module needs the framework's packages."""


_HAVE_OWNERS = {
    "google-adk": "the sessions of ADK belong to their users",
    "langgraph": "the checkpoints of LangGraph belong to nobody; `treadle erase` leaves them",
}
"""Why an owner is not taken: what the program writes is no thread that could have it."""


def find_importer(program: str, owner: str | None = None) -> Importer:
    """Return the importer for what a framework or another program has stored.

    Args:
        program: a key of `IMPORTERS`.
        owner: who is to own the threads.

    Raises:
        Failure: the framework is not installed, or its data cannot have this owner.
    """
    if owner is not None and program in _HAVE_OWNERS:
        raise Failure(f"leave out --owner: {_HAVE_OWNERS[program]}")
    module, name = IMPORTERS[program]
    try:
        found = getattr(import_module(module), name)
        if owner is None:
            return cast("Importer", found)
        return partial(cast("ImporterForOwner", found), resource_id=owner)
    except ImportError as error:
        raise Failure(str(error)) from error


class DatabaseSummary:
    """The counts of an import, and its errors."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._items = 0
        self._branches = 0
        self._files = 0
        self.errors: list[Imported] = []

    def add(self, result: Imported) -> None:
        """Count one more conversation."""
        self._kinds[result.kind] += 1
        self._items += result.items
        self._branches += result.branches
        self._files += result.files
        if result.reason is not None:
            self.errors.append(result)

    def as_line(self) -> str:
        """Return the counts, for people."""
        line = (
            f"{counted(self._kinds['created'], 'conversation')} created, "
            f"{self._kinds['extended']} extended, {self._kinds['unchanged']} unchanged, "
            f"{counted(self._items, 'item')} added"
        )
        if self._branches:
            line += f"; {counted(self._branches, 'further branch', 'further branches')} as threads"
        if self._files:
            line += f"; {counted(self._files, 'file')} not imported"
        return line

    def as_json(self) -> dict[str, Json]:
        """Return the document that `treadle import --from … --json` writes."""
        return {
            "created": self._kinds["created"],
            "extended": self._kinds["extended"],
            "unchanged": self._kinds["unchanged"],
            "failed": len(self.errors),
            "items": self._items,
            "branches": self._branches,
            "files": self._files,
            "errors": [{"name": error.name, "reason": error.reason} for error in self.errors],
        }
