"""A database of ADK's `DatabaseSessionService` that is only read."""

from pathlib import Path

from google.adk.sessions.database_session_service import DatabaseSessionService
from google.adk.sessions.migration import (
    _schema_check_utils as schemas,  # pyright: ignore[reportMissingTypeStubs]
)
from sqlalchemy import URL


def url_of(path: Path) -> str:
    """Return the URL that opens a file of SQLite to read, whatever characters its name has."""
    options = {"mode": "ro", "uri": "true"}
    url = URL.create("sqlite+aiosqlite", database=path.absolute().as_uri(), query=options)
    return url.render_as_string()


class Source(DatabaseSessionService):
    """ADK's service, which would make the tables and indexes that it misses."""

    async def prepare_tables(self) -> None:
        """Find out which schema the database has, and change nothing."""
        if self._db_schema_version is None:
            async with self.db_engine.connect() as connection:
                version = await connection.run_sync(schemas.get_db_schema_version_from_connection)
            self._db_schema_version = version
