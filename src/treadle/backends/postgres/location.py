"""Where a store is on PostgreSQL: which server, which schema, how its tables are called."""

import re
from functools import cached_property
from typing import Literal
from urllib.parse import unquote

import msgspec

from treadle.backends.urls import without_password
from treadle.errors import InvalidValue

_URL = re.compile(
    r"postgres(?:ql)?:(//(?:[^@/]*@)?(?P<hosts>[^/?]*)(?:/[^?]*)?)(?:\?(?P<query>.*))?",
    re.IGNORECASE | re.DOTALL,
)
"""As libpq reads it, which differs from other URLs: a password may have `?` and `#` in it."""
_HOST = r"(?:\[[^\[\]@]*\]|[^\[\]@:,]*)(?::[0-9]*)?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*")
_UNKNOWN = re.compile(r'invalid URI query parameter: "([^"]*)"')
_ENCODING = (
    "in a user, a password or a parameter, these are written as numbers: "
    "'@' is %40, ':' is %3A, '/' is %2F, '&' is %26 and '%' is %25"
)
_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")
_PREFIX = re.compile(r"((?!pg_)[a-z_][a-z0-9_]{0,23})?")
_TABLES = re.compile(
    r"(?<!:)\b(threads|thread_bodies|messages|patches|deltas|runs|mailboxes|queue_heads|entries|payloads"
    r"|commits|migrations)\b"
)
_INDEXES = re.compile(r"(?<=CREATE INDEX )(\w+)")
Switch = Literal["on", "off"]


class Location(msgspec.Struct, frozen=True, dict=True):
    """A database, and where in it the tables are.

    Written as a URL that libpq understands, with these parameters beside its own: `schema`
    (default `treadle`), `table_prefix` (none), `prepared_statements` and `listen` (`on`; a pooler
    that gives a connection to others between transactions may want them `off`).
    """

    conninfo: str
    schema: str = "treadle"
    table_prefix: str = ""
    prepared_statements: Switch = "on"
    listen: Switch = "on"

    def __str__(self) -> str:
        """As it is told to people: without the password."""
        url = without_password(self.conninfo)
        ours = {"schema": self.schema, "table_prefix": self.table_prefix}
        told = [f"{name}={value}" for name, value in ours.items() if value not in ("treadle", "")]
        joint = "&" if "?" in url else "?"
        return joint.join((url, "&".join(told))) if told else url

    def __repr__(self) -> str:
        """As little as `str` tells."""
        return f"Location({str(self)!r})"

    @cached_property
    def channel(self) -> str:
        """Where notices are given."""
        return f"treadle.{self.schema}.{self.table_prefix}"[:63]

    @cached_property
    def lock(self) -> str:
        """What those who migrate lock; all in a schema do, as the first of them makes it."""
        return f"treadle {self.schema}"

    def qualify(self, text: str) -> str:
        """A statement in which every table has its schema and its prefix."""
        placed = _TABLES.sub(rf'"{self.schema}"."{self.table_prefix}\1"', text)
        return _INDEXES.sub(rf'"{self.table_prefix}\1"', placed)


def parse_location(url: str) -> Location:
    """The location that a URL means; nothing is sent to find out.

    Raises:
        InvalidValue: it is no URL of PostgreSQL, or one of its parameters is wrong.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise InvalidValue("url", "PostgreSQL wants one such as 'postgresql://user@host/database'")
    if _HOSTS.fullmatch(parts["hosts"]) is None:
        reason = f"its hosts are not written as host:port, with commas between them; {_ENCODING}"
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
    """Let libpq read it. What it says of what it cannot read may hold a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(conninfo)
    except ProgrammingError as error:
        unknown = _UNKNOWN.search(str(error))
    else:
        return
    if unknown:
        raise InvalidValue("url", f"neither Treadle nor libpq has a parameter {unknown[1]!r}")
    raise InvalidValue("url", f"libpq cannot read it; {_ENCODING}")
