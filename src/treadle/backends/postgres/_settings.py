"""How transactions begin and end, and the settings that each of them makes for itself."""

from treadle.backends.postgres._statements import Query
from treadle.backends.postgres.connection import SEARCH_PATH

BEGIN = Query("BEGIN ISOLATION LEVEL READ COMMITTED")
"""Each statement sees what was committed before it, whatever the default of the database is. So
what is read after a lock is what the lock's last holder has left."""
BEGIN_READING = Query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
"""All statements see the store as it was at one moment, and wait for no lock."""
_NO_JIT = "pg_catalog.set_config('jit', 'off', true)"
"""A path that is set off, and is taken because there is no other, is for the planner so expensive
that a server with LLVM would compile the statement: 200 ms for one that takes less than one."""
_LOCK_TIMEOUT = "pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true)"
"""A read waits, too, if somebody has locked a table. Without a limit, the server would wait on when
nobody needs the answer any longer, and each call would leave a session there."""
READING_SETTINGS = f"""SELECT
    {SEARCH_PATH},
    {_NO_JIT},
    {_LOCK_TIMEOUT},
    pg_catalog.set_config('enable_bitmapscan', 'off', true),
    pg_catalog.set_config('enable_sort', 'off', true)"""
"""A page is read off an index in its order. A planner that takes a filter's matches for few would
collect all of them in a bitmap, and sort them."""
COMMIT = Query("COMMIT")
"""Ends transactions that wrote nothing, too."""
SETTINGS = f"""SELECT
    {SEARCH_PATH},
    {_NO_JIT},
    {_LOCK_TIMEOUT},
    pg_catalog.set_config('synchronous_commit', %(synchronous_commit)s, true),
    pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
    pg_catalog.set_config('enable_seqscan', 'off', true),
    pg_catalog.set_config('enable_bitmapscan', 'off', true),
    pg_catalog.set_config('enable_sort', 'off', true),
    pg_catalog.set_config('enable_hashjoin', 'off', true),
    pg_catalog.set_config('enable_mergejoin', 'off', true)"""
"""Settings of the transaction, not of the session, which a pooler may give to others. Every
statement goes by an index, and in its order: what the planner knew of a table when it was small
must not lead it to read all of it later, or to sort all queue heads for the first."""
_TIMEOUT = """,
    pg_catalog.set_config('transaction_timeout', %(timeout)s, true)"""
TIMED_SETTINGS = SETTINGS + _TIMEOUT
TIMED_READING_SETTINGS = READING_SETTINGS + _TIMEOUT
"""The server ends the transaction of a process that was stopped or cut off, so that its rows are
free again and a COMMIT that arrives late finds nothing."""
KNOWS_TRANSACTION_TIMEOUT = 170_000
"""The first version of PostgreSQL that has this setting."""
