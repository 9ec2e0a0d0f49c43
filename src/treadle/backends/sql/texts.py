"""The texts of statements.

Writes that only name columns are rendered from `treadle.backends.sql.tables`. Every other statement
is a file: `<dialect>/queries/<name>.sql` in the folder of the one backend that has it, or
`queries/<name>.sql` here for both. Where the databases need different texts, the file
`queries/<name>.<dialect>.sql` is beside it.

Values are bound by the driver and never become text. A text consists of files, names of columns and
the fragments of `treadle.backends.sql._dialects`, all written in these packages.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from treadle.backends.sql._dialects import Dialect, Postgres, Sqlite
from treadle.backends.sql.program import Direction, Statement, Write
from treadle.backends.sql.tables import CLAIM_COLUMNS, ENTRY_COLUMNS, PLAIN_WRITES

_SQLITE = Sqlite()
_DIALECTS: dict[str, Dialect] = {each.name: each for each in (_SQLITE, Postgres())}
_BOUNDS = {
    "created_at_from": "created_at >= :created_at_from",
    "created_at_to": "created_at <= :created_at_to",
    "updated_at_from": "updated_at >= :updated_at_from",
    "updated_at_to": "updated_at <= :updated_at_to",
    "since": "created_at >= :since",
    "until": "created_at < :until",
    "begun_since": "begun_at >= :begun_since",
    "begun_until": "begun_at < :begun_until",
    "after": "position > :after",
    "before": "position < :before",
    "roots": "parent_thread_id IS NULL",
    "created": "created_at >= -1",
    "key_after": "key > :key_after",
    "key_before": "key < :key_before",
    "due": "(kind = 0 OR available_at <= {now:now})",
    "by_now": "available_at <= {now:now}",
    "after_now": "available_at > {now:now}",
    "scheduled": "kind <> 0 AND attempt_count = 0 AND available_at > {now:now}",
    "paused": """EXISTS (
        SELECT 1
        FROM mailboxes
        WHERE mailboxes.mailbox_id = :mailbox_id AND paused_at IS NOT NULL
            AND COALESCE(paused_until, 9223372036854775807) > {now:now}
    )""",
    # Not EXISTS, which PostgreSQL turns into a join: it would read all that is in the ranges.
    "heads_among": """0 < (
        SELECT COUNT(*)
        FROM {pairs:ranges}
        WHERE heads.mailbox_id >= asked.id AND heads.mailbox_id < asked.text
    )""",
    "mailboxes_among": """0 < (
        SELECT COUNT(*)
        FROM {pairs:ranges}
        WHERE mailboxes.mailbox_id >= asked.id AND mailboxes.mailbox_id < asked.text
    )""",
    "retrying": "kind <> 0 AND attempt_count > 0 AND available_at > {now:now}",
}
"""The conditions that are not equalities."""
_WAYS = {
    "by_mailbox": """looked_at AS (SELECT * FROM {heads_among:look} AS heads),
is_few (is_few) AS (SELECT (SELECT COUNT(*) FROM looked_at) < :look),
first AS (
    SELECT *
    FROM looked_at AS heads
    WHERE (SELECT is_few FROM is_few)
        AND blocked <> 1
        AND (kind = 0 OR available_at <= (SELECT now FROM clock))
    ORDER BY priority DESC, available_at, created_at, entry_id
    LIMIT :first
),
looked (is_whole) AS (
    SELECT (SELECT is_few FROM is_few) AND (SELECT COUNT(*) FROM first) < :first
)""",
    "in_order": """first AS (
    SELECT found.*
    FROM priorities
    CROSS JOIN LATERAL (
        SELECT *
        FROM ({ready_heads}) AS heads
        ORDER BY available_at, created_at, entry_id
        LIMIT :look
    ) AS found
    LIMIT :look
),
looked (is_whole) AS (SELECT (SELECT COUNT(*) FROM first) < :look)""",
}
"""How PostgreSQL looks at queue heads of some mailboxes: see `treadle.backends.sql.among`."""

# A step from one priority to the next is one look at the index, however many heads there are.
_PRIORITIES = """priorities (priority) AS (
    SELECT MAX(priority) FROM queue_heads WHERE blocked = 0
    UNION
    SELECT (SELECT MAX(queue_heads.priority) FROM queue_heads
            WHERE queue_heads.blocked = 0 AND queue_heads.priority < priorities.priority)
    FROM priorities
    WHERE priorities.priority IS NOT NULL
)"""
"""The priorities of queue heads that are not blocked, highest first, and NULL at the end.

UNION ends it if one comes again, as a damaged index may give one that is not lower."""

_BLOCKED = """CASE
    WHEN mailboxes.lease_until IS NOT NULL OR mailboxes.pause_ends IS NOT NULL THEN 1
    WHEN mailboxes.kept_priority > queued.priority THEN 1
    WHEN mailboxes.kept_priority = queued.priority AND queued.kind <> 1 THEN 1
    ELSE 0
END"""
"""1 if nothing of the queue `queued` may be claimed, 0 otherwise."""

_PAUSED = """(
    paused_at IS NOT NULL
    AND COALESCE(paused_until, 9223372036854775807) > (SELECT now FROM clock)
)"""
"""Whether a mailbox is paused: `treadle.core.mailbox_pauses.is_paused`."""

_BETTER = """SELECT 1
    FROM queue_heads AS better
    WHERE better.mailbox_id = heads.mailbox_id
        AND better.blocked <> 1
        AND (better.kind = 0 OR better.available_at <= (SELECT now FROM clock))
        AND (-better.priority, COALESCE(better.turn, better.available_at), better.available_at,
            better.created_at, better.entry_id)
            < (-heads.priority, COALESCE(heads.turn, heads.available_at), heads.available_at,
            heads.created_at, heads.entry_id)"""
"""Another head of the mailbox that is due, and comes before `heads` in the order of their turns.

It does not say `blocked = 0`: PostgreSQL would search all of the index `queue_heads_ready` for the
mailbox, which comes last in it."""

# PostgreSQL's `now()` is when the transaction began: the same for all statements of a claim.
_CLAIM_TIME = "COALESCE(:now::bigint, (extract(epoch FROM now()) * 1000)::bigint)"
"""The time of a claim on PostgreSQL: `:now`, or the database's."""

_READY_HEADS = """(
        SELECT * FROM queue_heads
        WHERE blocked = 0 AND priority = priorities.priority AND kind = 0
        ORDER BY available_at, created_at, entry_id
    ) UNION ALL (
        SELECT * FROM queue_heads
        WHERE blocked = 0 AND priority = priorities.priority AND kind = 1
            AND available_at <= (SELECT now FROM clock)
        ORDER BY available_at, created_at, entry_id
    ) UNION ALL (
        SELECT * FROM queue_heads
        WHERE blocked = 0 AND priority = priorities.priority AND kind = 2
            AND available_at <= (SELECT now FROM clock)
        ORDER BY available_at, created_at, entry_id
    )"""
"""The heads of a priority that are due, on PostgreSQL, of each kind in the order of the index."""

# FOR UPDATE OF takes no name with a schema, so the table has another name here.
_READY_MAILBOXES = """SELECT mailbox.mailbox_id
    FROM ({ready_heads}) AS heads
    JOIN mailboxes AS mailbox ON mailbox.mailbox_id = heads.mailbox_id
    WHERE NOT EXISTS ({better}) AND NOT {paused}
    ORDER BY heads.available_at, heads.created_at, heads.entry_id
    LIMIT :limit"""
"""The mailboxes of a priority from which a claim on PostgreSQL takes first.

Each kind of heads says its order, which is that of the index, so PostgreSQL merges the three, and
reads as many as the claim takes. Only the first head of a mailbox counts, or the limit would
include a mailbox twice. And a clock that went back can lead into a pause that a claim has found to
be over.
"""

# Once: to read them from JSON takes longer than all else that is done for a head.
_RANGES = """ranges (first, last) AS MATERIALIZED (
    SELECT asked.id, asked.text FROM {pairs:ranges}
)"""
"""The ranges of ids that a claim of some mailboxes names."""
_OWN_HEADS = """own AS (
    SELECT heads.mailbox_id, heads.priority, heads.available_at, heads.created_at, heads.entry_id
    FROM first AS heads
    JOIN mailboxes ON {once:mailboxes.mailbox_id = heads.mailbox_id}
    WHERE heads.blocked <> 1
        AND (heads.kind = 0 OR heads.available_at <= (SELECT now FROM clock))
        AND 0 < (
            SELECT COUNT(*)
            FROM ranges
            WHERE heads.mailbox_id >= ranges.first AND heads.mailbox_id < ranges.last
        )
        AND NOT EXISTS ({better})
        AND NOT {paused}
    ORDER BY heads.priority DESC, heads.available_at, heads.created_at, heads.entry_id
    LIMIT :most
)"""
"""Of the heads that a claim looks at, those in its ranges that are the first of their mailboxes.

`blocked <> 1` and not `= 0`: see `_BETTER`.
"""
_EXPIRED_AMONG = """SELECT mailbox_id
    FROM mailboxes
    WHERE wakes_at <= (SELECT now FROM clock) AND pause_ends IS NULL AND NOT {paused}
        AND 0 < (
            SELECT COUNT(*)
            FROM ranges
            WHERE mailboxes.mailbox_id >= ranges.first AND mailboxes.mailbox_id < ranges.last
        )"""
"""What `_EXPIRED_MAILBOXES` finds, in the ranges, in no order."""

_SKIPPED = """skipped AS (
    SELECT mailbox_id FROM front
    UNION
    SELECT mailbox_id FROM before_last
    UNION
    SELECT mailbox_id FROM expired
    EXCEPT
    SELECT json_array_elements_text(current_setting('treadle.locked')::json)
),
-- No commit holds these: no transaction does, or a claim.
without_commit AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
    FOR KEY SHARE SKIP LOCKED
),
-- No transaction holds these any longer, and no claim has taken from them: a commit has just ended.
released AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
        AND COALESCE(lease_until, 0) <= (SELECT now FROM clock)
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT
    mailbox_id,
    mailbox_id NOT IN (SELECT mailbox_id FROM without_commit)
        OR mailbox_id IN (SELECT mailbox_id FROM released)
FROM skipped
-- Nobody is changing a mailbox whose row is missing, which is damage.
JOIN mailboxes USING (mailbox_id)
WHERE NOT {paused}"""
"""The mailboxes that would come first, and that a claim on PostgreSQL has not locked; and of each,
whether a commit holds it or has just ended.
"""

_EXPIRED_MAILBOXES = """SELECT mailbox_id
    FROM mailboxes
    WHERE wakes_at <= (SELECT now FROM clock) AND pause_ends IS NULL AND NOT {paused}
    ORDER BY wakes_at
    LIMIT :expired"""
"""The mailboxes with an expired lease that a claim on PostgreSQL looks at."""


class Texts:
    """The texts in one dialect; `adapt` brings them into the form that the driver wants."""

    def __init__(self, dialect: str, adapt: Callable[[str], str] = str) -> None:
        self._dialect = _DIALECTS[dialect]
        self._adapt = adapt
        self.of_write = cache(self._of_write)
        """Returns the text of a write by its name; empty if the database does without it."""
        self.of_read = cache(self._of_read)
        """Returns the text of a query by its name, its conditions, its direction, and its sort.

        Further arguments are names of lists that have one value, or none, and how many: for SQLite.
        """

    def of(self, statement: Statement) -> str:
        """The text of a statement."""
        if isinstance(statement, Write):
            return self.of_write(statement.name)
        return self.of_read(
            statement.name, statement.conditions, statement.direction, statement.sort
        )

    def _of_write(self, name: str) -> str:
        if name in PLAIN_WRITES:
            return self._adapt(self._dialect.write(PLAIN_WRITES[name]))
        return self._of_read(name)

    def _of_read(
        self,
        name: str,
        conditions: tuple[str, ...] = (),
        direction: Direction = "ASC",
        sort: tuple[str, ...] = (),
        *few: tuple[str, int],
    ) -> str:
        text = read_text(name, self._dialect.name)
        met = [self._condition(each, direction, sort) for each in conditions]
        for fragment, meaning in (
            ("{conditions}", " AND ".join(met) or "1 = 1"),
            ("{direction}", direction),
            ("{sort}", ", ".join(f"{column} {direction}" for column in sort)),
            ("{entry_columns}", ", ".join(ENTRY_COLUMNS)),
            ("{claim_columns}", ", ".join(CLAIM_COLUMNS)),
            # These have fragments themselves, so they come before those.
            ("{skipped}", _SKIPPED),
            ("{ready_mailboxes}", _READY_MAILBOXES),
            ("{ranges}", _RANGES),
            ("{own_heads}", _OWN_HEADS),
            ("{expired_among}", _EXPIRED_AMONG),
            ("{ready_heads}", _READY_HEADS),
            ("{expired_mailboxes}", _EXPIRED_MAILBOXES),
            ("{priorities}", _PRIORITIES),
            ("{blocked}", _BLOCKED),
            ("{paused}", _PAUSED),
            ("{claim_time}", _CLAIM_TIME),
            ("{better}", _BETTER),
        ):
            text = text.replace(fragment, meaning)
        text = self._dialect.expand(text)
        for list_name, count in few:
            text = _SQLITE.for_few(text, list_name, count)
        return self._adapt(text)

    def _condition(self, name: str, direction: Direction, sort: tuple[str, ...]) -> str:
        if name == "behind":
            sign = ">" if direction == "ASC" else "<"
            values = ", ".join(f":behind_{column}" for column in sort)
            return f"({', '.join(sort)}) {sign} ({values})"
        return _BOUNDS.get(name) or _WAYS.get(name) or self._dialect.condition(name)


@cache
def read_text(name: str, dialect: str) -> str:
    """Load a statement's text: the backend's own, else the dialect's, else the shared one."""
    backends = files("treadle.backends")
    shared = backends / "sql" / "queries"
    for file in (
        backends / dialect / "queries" / f"{name}.sql",
        shared / f"{name}.{dialect}.sql",
    ):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return (shared / f"{name}.sql").read_text(encoding="utf-8")
