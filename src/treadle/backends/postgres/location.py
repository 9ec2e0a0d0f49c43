"""The location of a store on PostgreSQL: the server, the schema and the names of its tables."""

import re
from functools import cached_property
from hashlib import sha256
from typing import Literal
from urllib.parse import unquote, unquote_to_bytes

import msgspec

from treadle.backends.urls import without_password
from treadle.errors import InvalidValue

_URL = re.compile(
    r"postgres(?:ql)?:(//(?:[^@/]*@)?(?P<hosts>[^/?]*)(?:/[^?]*)?)(?:\?(?P<query>.*))?",
    re.IGNORECASE | re.DOTALL,
)
"""As libpq reads it, which differs from other URLs: a password may contain `?` and `#`."""
_HOST = r"(?:\[[^\[\]@]*\]|[^\[\]@:,]*)(?::[0-9]*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*")
_UNKNOWN = re.compile(r'invalid URI query parameter: "([^"]*)"')
_ENCODING = (
    "in a user, a password or a parameter, write these as numbers: "
    "'@' is %40, ':' is %3A, '/' is %2F, '&' is %26 and '%' is %25"
)
_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")
_PREFIX = re.compile(r"((?!pg_)[a-z_][a-z0-9_]{0,23})?")
_TABLES = re.compile(
    r"(?<!:)\b(threads|thread_times|thread_bodies|messages|removed_messages|patches|deltas|runs|run_times|mailboxes|queue_heads|entries|payloads"
    r"|documents|commits|migrations)\b"
)
_INDEXES = re.compile(r"(?<=CREATE INDEX )(\w+)")
_CHANNEL_BYTES = 63
_HASH_DIGITS = 16
Switch = Literal["on", "off"]


class Location(msgspec.Struct, frozen=True, dict=True):
    """A database, and where in it the tables are.

    Written as a URL that libpq understands, with these parameters in addition: `schema`
    (default `treadle`), `table_prefix` (none), `prepared_statements` and `listen` (`on`; a pooler
    that gives a connection to others between transactions may want them `off`).
    """

    conninfo: str
    schema: str = "treadle"
    table_prefix: str = ""
    prepared_statements: Switch = "on"
    listen: Switch = "on"

    def __str__(self) -> str:
        """The URL to be shown to people, without the password."""
        url = without_password(self.conninfo)
        ours = {"schema": self.schema, "table_prefix": self.table_prefix}
        shown = [f"{name}={value}" for name, value in ours.items() if value not in ("treadle", "")]
        joint = "&" if "?" in url else "?"
        return joint.join((url, "&".join(shown))) if shown else url

    def __repr__(self) -> str:
        """As `str`, so that a traceback shows no password."""
        return f"Location({str(self)!r})"

    @cached_property
    def channel(self) -> str:
        """The channel of the notices."""
        return _channel_named(f"treadle.{self.schema}.{self.table_prefix}")

    @cached_property
    def live_channel(self) -> str:
        """The channel of live values, on which only processes with followers listen."""
        return _channel_named(f"treadle-live.{self.schema}.{self.table_prefix}")

    @cached_property
    def lock(self) -> str:
        """The name of the lock of migrations.

        All prefixes of a schema share it, because the first one creates the schema.
        """
        return f"treadle {self.schema}"

    def qualify(self, text: str) -> str:
        """A statement in which every table has its schema and its prefix.

        So the texts are plain SQL, which SQLite and `psql` understand too. A `search_path` would
        have to be set and restored in transactions of callers, and knows no prefixes. In return,
        nothing else in a text may have the name of a table. `tests/postgres/test_location.py`
        checks all texts for it.
        """
        qualified = _TABLES.sub(rf'"{self.schema}"."{self.table_prefix}\1"', text)
        return _INDEXES.sub(rf'"{self.table_prefix}\1"', qualified)


def parse_location(url: str) -> Location:
    """The location that a URL names; the server is not asked.

    Raises:
        InvalidValue: it is no URL of PostgreSQL, or one of its parameters is wrong.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise InvalidValue("url", "write it as in 'postgresql://user@host/database'")
    if _HOSTS.fullmatch(parts["hosts"]) is None:
        reason = f"its hosts are not written as host:port, separated by commas; {_ENCODING}"
        raise InvalidValue("url", reason)
    ours: dict[str, str] = {}
    theirs: list[str] = []
    for parameter in filter(None, (parts["query"] or "").split("&")):
        name, _, value = parameter.partition("=")
        if unquote(name) in _OURS:
            ours[unquote(name)] = unquote(value)
        else:
            theirs.append(parameter)
    _check_ours(ours)
    conninfo = "?".join(filter(None, (f"postgresql:{parts[1]}", "&".join(theirs))))
    _check_theirs(conninfo)
    return msgspec.convert({"conninfo": conninfo, **ours}, Location)


def _channel_named(name: str) -> str:
    """The name of a channel, of which PostgreSQL takes 63 bytes; no two locations share one.

    What is cut off a long name is in a hash: another store must not hear what is said here.
    """
    if len(name) <= _CHANNEL_BYTES:
        return name
    digest = sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{name[: _CHANNEL_BYTES - _HASH_DIGITS - 1]}.{digest}"


_OURS = frozenset(Location.__struct_fields__) - {"conninfo"}


def _check_ours(given: dict[str, str]) -> None:
    for name, pattern, length in (("schema", _NAME, 40), ("table_prefix", _PREFIX, 24)):
        if name in given and pattern.fullmatch(given[name]) is None:
            rule = f"at most {length} of a-z, 0-9 and _, and begin with neither a digit nor pg_"
            raise InvalidValue("url", f"{name}={given[name]!r} must be {rule}")
    for name in ("prepared_statements", "listen"):
        if given.get(name, "on") not in ("on", "off"):
            raise InvalidValue("url", f"{name} is 'on' or 'off', not {given[name]!r}")


def _check_theirs(conninfo: str) -> None:
    """Let libpq read it. Its own error messages are not shown: they may contain a password."""
    _check_text(conninfo)
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        seconds = str(conninfo_to_dict(conninfo).get("connect_timeout", 0))
    except ProgrammingError as error:
        unknown = _UNKNOWN.search(str(error))
    else:
        if re.fullmatch(r"-?\d+", seconds) is None:
            reason = f"connect_timeout is a whole number of seconds, not {seconds!r}"
            raise InvalidValue("url", reason)
        return
    if unknown:
        raise InvalidValue("url", f"neither Treadle nor libpq has a parameter {unknown[1]!r}")
    raise InvalidValue("url", f"libpq cannot read it; {_ENCODING}")


def _check_text(url: str) -> None:
    # libpq reads UTF-8 up to the first NUL. The escapes are replaced as it replaces them.
    try:
        text = unquote_to_bytes(url).decode()
    except UnicodeError:  # it is not shown either
        raise InvalidValue("url", "it has characters that are not UTF-8") from None
    if "\0" in text:
        raise InvalidValue("url", "it has a NUL character")
