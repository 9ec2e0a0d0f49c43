"""The two dialects of SQL: how plain writes are rendered, and the fragments of shared statements.

A statement's text may contain fragments in braces, so that one text serves both databases:

- `{in:ids}`: is one of the values in the JSON list `:ids`. `{in:ids bigint}` if they are numbers,
  `{in:SELECT …}` for the rows of a query, and `{not_in:ids}` for the opposite.
- `{list:ids}`: the query of the values in the JSON list `:ids`.
- `{pairs:pairs}`: a table `asked (id, text)` of the JSON list of pairs `:pairs`.
- `{given:a, b}`: a table `given (a, b)` of the rows of a write.
- `{for_given:table.a}`: the rows of a table in an update whose column `a` is in a row of a write.
- `{each:SELECT … AS value}`: joins `each_row (value)`, a query that names the tables before it.
- `{columns:runs}`: the columns of a table, in the order of its description.
- `{equal:a = b}`: equality of texts that PostgreSQL's index knows by their hashes.
- `{once:a = b}`: equality by which PostgreSQL looks up each row in an index, whatever it expects.
- `{sorted:a, b}`: an order in which PostgreSQL sorts what it has found; it would rather read the
  whole of an index that has the order.
- `{unfinished:queued, claimed}`: the entry has one of these statuses, by an index for listings.
- `{in_status:queued}`: the entry has this status, by an index for listings; `{listed:a}`: it is of
  the mailbox `a`, by the same.
- `{id_in_thread:a = b}`: a message has the id, and is of the thread.
- `{payloads:JOIN}`: the payloads of the entries before it, joined so; PostgreSQL looks up each one.
- `{heads_among:look}`: the queue heads of the mailboxes in the ranges `:ranges`, `:look` at most.
- `{live:now}`: a document has not expired at the time `:now`; NULL is the database's clock.
- `{now:now}`: the time `:now`; NULL is the database's clock.
- `{threads_with_times:JOIN}`: threads, each with the columns of `thread_times`, joined so.
- `{lock:FOR UPDATE}`: what PostgreSQL locks; SQLite has one writer at a time.
- `{index:name}`: the index that SQLite has to take; its planner has no statistics to choose by.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable

from treadle.backends.sql.tables import (
    PAYLOADS,
    TABLES,
    THREAD_TIMES,
    TYPES,
    PlainWrite,
    Table,
)

_THREAD_KEY = "COALESCE(:thread_key, (SELECT thread_key FROM threads WHERE thread_id = :thread_id))"
"""The key of a thread on SQLite: it is looked up if the same transaction inserts the thread."""
_NO_PAIR = "(SELECT NULL AS id, NULL AS text WHERE 0) AS asked"
_IS_IN = "{0}.mailbox_id >= asked.id AND {0}.mailbox_id < asked.text"
"""Whether a row is of a mailbox in a range."""
_FRAGMENT = re.compile(r"\{(\w+):([^{}]*)\}")


class Dialect(ABC):
    """How one database writes what the other writes differently."""

    name: str

    def expand(self, text: str) -> str:
        """Replace the fragments of a text, inner ones first."""
        while "{" in text:
            text, count = _FRAGMENT.subn(lambda found: self._fragment(*found.groups()), text)
            assert count, text  # noqa: S101
        return text

    def _fragment(self, name: str, argument: str) -> str:  # noqa: PLR0911, PLR0912 - a case each
        match name:
            case "in":
                return self._is_in(self._rows(argument))
            case "not_in":
                # PostgreSQL looks them up in a hash; `<> ALL` would compare with each of them.
                return f"NOT IN ({self._rows(argument)})"
            case "list":
                return self._list(argument)
            case "pairs":
                return self._pairs(argument)
            case "given":
                return self._given(argument.split(", "))
            case "for_given":
                return self._for_given(argument, argument.partition(".")[2])
            case "each":
                return self._each(argument)
            case "columns":
                return ", ".join(TABLES[argument].types)
            case "equal":
                return self._equal(*argument.split(" = "))
            case "id_in_thread":
                return self._id_in_thread(*argument.split(" = "))
            case "once":
                return self._once(*argument.split(" = "))
            case "sorted":
                return ", ".join(map(self._sorted, argument.split(", ")))
            case "payloads":
                return self._payloads(argument)
            case "heads_among":
                return self._heads_among(argument)
            case "live":
                return f"(expires_at IS NULL OR expires_at > {self._time(argument)})"
            case "now":
                return self._time(argument)
            case "unfinished":
                return self._unfinished(", ".join(f"'{each}'" for each in argument.split(", ")))
            case "in_status":
                return self._in_status(f"'{argument}'")
            case "listed":
                return self._listed(argument)
            case "threads_with_times":
                return self._threads_with_times(argument)
            case "lock":
                return self._lock(argument)
            case "index":
                return self._index(argument)
            case _:
                raise LookupError(name)

    def _rows(self, argument: str) -> str:
        """The query that an argument of `in` means: it is one, or names a list of values."""
        if argument.lstrip().startswith("SELECT"):
            return argument
        name, _, type_ = argument.partition(" ")
        return self._list(name, type_ or "text")

    @abstractmethod
    def write(self, write: PlainWrite) -> str:
        """The text of a plain write; empty if the database does without its table."""

    @abstractmethod
    def condition(self, name: str) -> str:
        """The condition that a column has the value of its name.

        `error` is a text within the column, `agent` one within a run's, `mailbox` a mailbox in an
        index by status, and `filter` a status for which no index is used.
        """

    @abstractmethod
    def _list(self, name: str, type_: str = "text") -> str: ...

    @abstractmethod
    def _is_in(self, query: str) -> str: ...

    @abstractmethod
    def _pairs(self, argument: str) -> str: ...

    @abstractmethod
    def _given(self, columns: Iterable[str]) -> str: ...

    @abstractmethod
    def _for_given(self, column: str, name: str) -> str: ...

    @abstractmethod
    def _each(self, query: str) -> str: ...

    @abstractmethod
    def _equal(self, one: str, other: str) -> str: ...

    @abstractmethod
    def _id_in_thread(self, one: str, other: str) -> str: ...

    @abstractmethod
    def _once(self, one: str, other: str) -> str: ...

    @abstractmethod
    def _sorted(self, text: str) -> str: ...

    @abstractmethod
    def _payloads(self, join: str) -> str: ...

    @abstractmethod
    def _heads_among(self, look: str) -> str: ...

    @abstractmethod
    def _time(self, argument: str) -> str: ...

    @abstractmethod
    def _unfinished(self, statuses: str) -> str: ...

    @abstractmethod
    def _in_status(self, status: str) -> str: ...

    @abstractmethod
    def _listed(self, mailbox_id: str) -> str: ...

    @abstractmethod
    def _threads_with_times(self, join: str) -> str: ...

    @abstractmethod
    def _lock(self, argument: str) -> str: ...

    @abstractmethod
    def _index(self, argument: str) -> str: ...


class Sqlite(Dialect):
    """SQLite executes a write once for each row, whose values are bound by name."""

    name = "sqlite"

    def write(self, write: PlainWrite) -> str:
        """The text of a plain write; empty if its table is part of another."""
        table = write.table
        if table is THREAD_TIMES:  # the row of the thread has the same values
            return ""
        if write.kind == "insert":
            return self._insert(table)
        where = " AND ".join(f"{name} = :{name}" for name in write.by or table.key)
        if table.part_of_thread:
            where = f"thread_key = {_THREAD_KEY}"
        if write.kind == "delete":
            return f"DELETE FROM {table.name} WHERE {where}"
        settings = ", ".join(f"{name} = :{name}" for name in _updated(write))
        return f"UPDATE {table.name} SET {settings} WHERE {where}"

    def _insert(self, table: Table) -> str:
        names = _stored(table)
        values = ", ".join(f":{name}" for name in names)
        if not table.part_of_thread:
            return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"
        return (
            f"INSERT INTO {table.name} (thread_key, {', '.join(names)})"
            f" VALUES ({_THREAD_KEY}, {values})"
        )

    def for_few(self, text: str, name: str, count: int) -> str:
        """The text for a list of one value, or none: SQLite takes long to read one from JSON.

        The value has the name of the list; those of a pair are `<name>_id` and `<name>_text`.
        """
        text = text.replace(self._pairs(name), _one_pair(name) if count else _NO_PAIR)
        if count:
            text = re.sub(rf"(?<!NOT )IN \({re.escape(self._list(name))}\)", f"= :{name}", text)
        return text.replace(self._list(name), f"SELECT :{name}" if count else "SELECT 1 WHERE 0")

    def condition(self, name: str) -> str:
        """The condition that a column has the value of its name."""
        match name:
            case "error":
                return "instr(last_error, :error) > 0"
            case "agent":
                return "instr(runs.body, :agent) > 0"
            case "filter":
                return "status || '' = :status"
            case "mailbox":
                return self._listed(":mailbox_id")
            case _:
                return f"{name} = :{name}"

    def _list(self, name: str, type_: str = "text") -> str:
        return f"SELECT value FROM json_each(:{name})"

    def _is_in(self, query: str) -> str:
        return f"IN ({query})"

    def _pairs(self, argument: str) -> str:
        columns = "json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS text"
        return f"(SELECT {columns} FROM json_each(:{argument})) AS asked"

    def _given(self, columns: Iterable[str]) -> str:
        return f"(SELECT {', '.join(f':{name} AS {name}' for name in columns)}) AS given"

    def _for_given(self, column: str, name: str) -> str:
        return f"WHERE {column} = :{name}"  # an UPDATE with FROM stores its rows first

    def _each(self, query: str) -> str:
        return f"json_each((SELECT json_group_array(value) FROM ({query}))) AS each_row"

    def _equal(self, one: str, other: str) -> str:
        return f"{one} = {other}"

    def _id_in_thread(self, one: str, other: str) -> str:
        return f"messages.thread_key = threads.thread_key AND {one} = {other}"

    def _once(self, one: str, other: str) -> str:
        return f"{one} = {other}"

    def _sorted(self, text: str) -> str:
        return text

    def _payloads(self, join: str) -> str:
        return f"{join} payloads USING (entry_id, mailbox_id, created_at)"

    def _heads_among(self, look: str) -> str:
        return (  # CROSS: SQLite leaves the order of the tables as it is
            f"(SELECT queue_heads.* FROM {self._pairs('ranges')} CROSS JOIN queue_heads"
            f" ON {_IS_IN.format('queue_heads')} LIMIT :{look})"
        )

    def _time(self, argument: str) -> str:
        return f":{argument}"

    def _unfinished(self, statuses: str) -> str:
        # The partial indexes for listings, which a claim need not touch.
        return f"ended_at IS NULL AND status IN ({statuses})"

    def _in_status(self, status: str) -> str:
        return f"status = {status}"

    def _listed(self, mailbox_id: str) -> str:
        return f"mailbox_id = {mailbox_id}"

    def _threads_with_times(self, join: str) -> str:
        times = "updated_at AS changed_at, thread_id AS changed_id, resource_id AS owner"
        return f"(SELECT *, {times} FROM threads) AS threads"

    def _lock(self, argument: str) -> str:
        return ""

    def _index(self, argument: str) -> str:
        return f"INDEXED BY {argument}"


class Postgres(Dialect):
    """PostgreSQL executes a write once for all its rows, which are bound as one JSON value."""

    name = "postgres"

    def write(self, write: PlainWrite) -> str:
        """The text of a plain write."""
        table = write.table
        given = self._given(_named(write))
        if table.part_of_thread:
            given += " JOIN threads USING (thread_id)"
        if write.kind == "insert":
            return self._insert(table, given)
        where = " AND ".join(
            f"{table.name}.{name} = given.{name}" for name in write.by or table.key
        )
        if table.part_of_thread:
            where = f"{table.name}.thread_key = threads.thread_key"
        if write.kind == "delete":
            return f"DELETE FROM {table.name} USING {given} WHERE {where}"
        settings = ", ".join(f"{name} = given.{name}" for name in _updated(write))
        update = f"UPDATE {table.name} SET {settings} FROM {given} WHERE {where}"
        if not write.all_exist:
            return update
        # The rows go to the server together with the COMMIT, so the statement itself has to fail:
        # it divides by zero if a row is missing, and the transaction is tried again.
        return (
            f"WITH changed AS ({update} RETURNING 1)"
            " SELECT 1 / CASE WHEN COUNT(*) = :count THEN 1 ELSE 0 END FROM changed"
        )

    def _insert(self, table: Table, given: str) -> str:
        names = _stored(table)
        values = ", ".join(f"given.{name}" for name in names)
        if table.part_of_thread:
            names, values = ["thread_key", *names], f"threads.thread_key, {values}"
        return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM {given}"

    def condition(self, name: str) -> str:
        """The condition that a column has the value of its name."""
        match name:
            case "owner" | "resource_id" | "run_id":
                return self._equal(name, f":{name}")
            case "error":
                return "position(:error IN last_error) > 0"
            case "agent":
                return "position(:agent IN runs.body) > 0"
            case "filter":
                return "status = :status"
            case "status":
                return self._in_status(":status")
            case "mailbox":
                return self._listed(":mailbox_id")
            case _:
                return f"{name} = :{name}"

    def _list(self, name: str, type_: str = "text") -> str:
        return f"SELECT json_array_elements_text(:{name}::json)::{type_}"

    # The planner takes an index for `= ANY (ARRAY(…))`; `IN (…)` it might turn into a join.
    def _is_in(self, query: str) -> str:
        return f"= ANY (ARRAY({query}))"

    def _pairs(self, argument: str) -> str:
        columns = "pair ->> 0 AS id, pair ->> 1 AS text"
        return (
            f"(SELECT {columns} FROM json_array_elements(:{argument}::json) AS _ (pair)) AS asked"
        )

    def _given(self, columns: Iterable[str]) -> str:
        typed = ", ".join(f"{name} {TYPES[name]}" for name in columns)
        return f"json_to_recordset(:rows::json) AS given ({typed})"

    def _for_given(self, column: str, name: str) -> str:
        return f"FROM {self._given([name])} WHERE {column} = given.{name}"

    def _each(self, query: str) -> str:
        return f"LATERAL ({query}) AS each_row"

    def _equal(self, one: str, other: str) -> str:
        # An index holds no texts of more than a third of a page, only their hashes.
        return f"hashtextextended({one}, 0) = hashtextextended({other}, 0) AND {one} = {other}"

    def _id_in_thread(self, one: str, other: str) -> str:
        # With `=` between the keys, the planner may read the whole thread for each id.
        found = self._once(
            f"hashtextextended({one}, messages.thread_key)",
            f"hashtextextended({other}, threads.thread_key)",
        )
        return f"{found} AND {one} = {other} AND messages.thread_key + 0 = threads.thread_key"

    def _once(self, one: str, other: str) -> str:
        # Found by an index for each row. With `=`, a planner that takes both tables for empty, as
        # they were when it last looked, may read the whole of one for each row of the other.
        return f"{one} = ANY (ARRAY[{other}])"

    def _sorted(self, text: str) -> str:
        return f"{text} || ''"  # no index has this; transactions set `enable_sort` off

    def _payloads(self, join: str) -> str:
        keys = ("entry_id", "mailbox_id", "created_at")
        names = ", ".join(f"{key} AS of_{key}" for key in keys)
        same = (
            self._once("body.of_entry_id", "entry_id"),
            # No index has these: a planner may take one of all entries of a mailbox for as good.
            self._once("body.of_mailbox_id || ''", "mailbox_id"),
            self._once("body.of_created_at + 0", "created_at"),
        )
        columns = ", ".join(name for name in PAYLOADS.types if name not in keys)
        return f"{join} (SELECT {names}, {columns} FROM payloads) AS body ON {' AND '.join(same)}"

    def _heads_among(self, look: str) -> str:
        own = (  # in the order of the primary key, so that no plan looks at all heads
            f"SELECT * FROM queue_heads WHERE {_IS_IN.format('queue_heads')}"
            f" ORDER BY mailbox_id LIMIT :{look}"
        )
        asked = self._pairs("ranges")
        return f"(SELECT own.* FROM {asked} CROSS JOIN LATERAL ({own}) AS own LIMIT :{look})"

    def _time(self, argument: str) -> str:
        clock = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
        return f"COALESCE(:{argument}::bigint, {clock})"

    def _unfinished(self, statuses: str) -> str:
        return f"status || '' IN ({statuses})"

    # Listings by status go by indexes of expressions, so that nothing else goes by them: they hold
    # the dead rows of all entries that were ever claimed.
    def _in_status(self, status: str) -> str:
        return f"status || '' = {status}"

    def _listed(self, mailbox_id: str) -> str:
        return f"mailbox_id || '' = {mailbox_id}"

    def _threads_with_times(self, join: str) -> str:
        return f"threads {join} thread_times USING (thread_key)"

    def _lock(self, argument: str) -> str:
        return argument

    def _index(self, argument: str) -> str:
        return ""


def _one_pair(name: str) -> str:
    return f"(SELECT :{name}_id AS id, :{name}_text AS text) AS asked"


def _stored(table: Table) -> list[str]:
    """The columns of a table that a row fills in; a part of a thread has a key for its id."""
    names = [column.name for column in table.columns]
    return [name for name in names if not (table.part_of_thread and name == "thread_id")]


def _updated(write: PlainWrite) -> list[str]:
    """The columns that an update sets."""
    if write.columns:
        return list(write.columns)
    return [
        column.name
        for column in write.table.columns
        if column.name not in write.table.key and (write.kind == "replace" or not column.fixed)
    ]


def _named(write: PlainWrite) -> list[str]:
    """The columns whose values a write needs."""
    match write.kind:
        case "insert":
            return [column.name for column in write.table.columns]
        case "delete":
            return list(write.by or write.table.key)
        case _:
            return [*write.table.key, *_updated(write)]
