"""The files of an open database, which another program may remove or replace."""

from treadle.backends._identity import Identity, identities, lost
from treadle.backends.sqlite._side_files import beside


class OpenFiles:
    """The database and the two files beside it, as they are when a store is opened.

    SQLite keeps all three open, and does not replace one while a connection is open. Somebody who
    restores a backup, or removes what looks like a leftover, does.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._paths = (path, beside(path, "-wal"), beside(path, "-shm"))
        self._known = self._look()
        self.database = self._known[0]
        """The identity of the database."""

    def are_in_place(self) -> bool:
        """Return True if the paths lead to the files that are open."""
        return self._look() == self._known

    def require_in_place(self) -> None:
        """Check that the paths lead to the files that are open.

        Raises:
            StoreUnavailable: one was removed or replaced.
        """
        if not self.are_in_place():
            raise lost(self._path)

    def _look(self) -> tuple[Identity, ...]:
        return identities(self._paths)
