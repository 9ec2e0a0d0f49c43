"""Where a store is on PostgreSQL: which server, which schema, how its tables are called."""

import re
from functools import cached_property
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec

from weft.errors import InvalidValue

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_PREFIX = re.compile(r"([a-z_][a-z0-9_]{0,23})?")
_TABLES = re.compile(
    r"(?<!:)\b(threads|thread_bodies|messages|patches|deltas|runs|mailboxes|lanes|entries|payloads"
    r"|commits|migrations)\b"
)
_INDEXES = re.compile(r"(?<=CREATE INDEX )(\w+)")
Switch = Literal["on", "off"]


class Location(msgspec.Struct, frozen=True, dict=True):
    """A database, and where in it the tables are.

    Written as a URL that psycopg understands, with these parameters beside its own: `schema`
    (default `weft`), `table_prefix` (none), `prepared_statements` and `listen` (`on`; a pooler that
    gives a connection to others between transactions may want them `off`).
    """

    conninfo: str
    schema: str = "weft"
    table_prefix: str = ""
    prepared_statements: Switch = "on"
    listen: Switch = "on"

    def __str__(self) -> str:
        """As it is told to people: without the password."""
        parts = urlsplit(self.conninfo)
        name, at, host = parts.netloc.rpartition("@")
        hidden = name.partition(":")[0] + at + host
        return urlunsplit((parts.scheme, hidden, parts.path, "", ""))

    @cached_property
    def channel(self) -> str:
        """Where notices are given."""
        return f"weft.{self.schema}.{self.table_prefix}"[:63]

    @cached_property
    def lock(self) -> str:
        """What those who migrate lock."""
        return f"weft {self.schema}.{self.table_prefix}"

    def qualify(self, text: str) -> str:
        """A statement in which every table has its schema and its prefix."""
        placed = _TABLES.sub(rf'"{self.schema}"."{self.table_prefix}\1"', text)
        return _INDEXES.sub(rf'"{self.table_prefix}\1"', placed)


def parse_location(url: str) -> Location:
    """The location that a URL means.

    Raises:
        InvalidValue: it is no URL of PostgreSQL, or one of our parameters is wrong.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidValue("url", f"it cannot be read: {error}") from error
    given = parse_qsl(parts.query, keep_blank_values=True)
    ours = {name: value for name, value in given if name in Location.__struct_fields__}
    ours.pop("conninfo", None)
    theirs = [(name, value) for name, value in given if name not in ours]
    for name, pattern, kind in (
        ("schema", _NAME, "a name of at most 40"),
        ("table_prefix", _PREFIX, "a beginning of at most 24"),
    ):
        if name in ours and pattern.fullmatch(ours[name]) is None:
            raise InvalidValue("url", f"{name}={ours[name]!r} is not {kind} of a-z, 0-9 and _")
    for name in ("prepared_statements", "listen"):
        if ours.get(name, "on") not in ("on", "off"):
            raise InvalidValue("url", f"{name} is 'on' or 'off', not {ours[name]!r}")
    query = urlencode(theirs, quote_via=quote)
    conninfo = urlunsplit(("postgresql", parts.netloc, parts.path or "/", query, ""))
    return msgspec.convert({"conninfo": conninfo, **ours}, Location)
