"""The limits of the PostgreSQL backend, each with its unit and its reason.

How long may a commit, a claim or a read take? It gets one deadline when it is asked for,
`CALL_SECONDS` later, as on every backend. Every wait of the call ends there: for the calls before
it, for a connection, for a lock, for the server's answer, between two attempts. On top come at most
`ANSWER_SECONDS`, and as long again if the outcome of a COMMIT must be found out.
"""

ANSWER_SECONDS = 1.0
"""How long after the deadline the server's answer is awaited. The server's own limit for locks ends
at the deadline, so its error arrives a moment later, and saves the connection."""

# --- connections that fall silent -----------------------------------------------------------------

SILENCE_SECONDS = 3.0
"""How long a server may be silent before it is asked, on another connection, whether it is working.
Commits, claims and most reads take milliseconds."""

INQUIRY_SECONDS = 2.0
"""How long such a question may take."""

KEEPALIVES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""When the operating system gives up a connection to a machine that is gone, unless the URL says
otherwise: by default, after many minutes. In seconds; the last one in milliseconds."""

# --- connections and threads ----------------------------------------------------------------------

CONNECT_SECONDS = 10.0
"""How long one server may take to accept a connection, unless the URL says `connect_timeout`."""

WANTED_SECONDS = 0.05
"""How often code that waits for the server looks whether its caller still does."""

CLOSING_SECONDS = 5.0
"""How much longer the calls of a store may take that is being closed: a server that is away or
silent must not keep a program from ending."""

COMMITTING_THREADS = 2
"""Groups of calls that are committed at a time. The process works on one while the server works on
the other; with three, they took a tenth more of the process's time, and were no faster."""

WAITING_THREADS = 4
"""Commits and claims of a store that wait for other transactions at a time. Each needs a
connection, so their number must have a bound."""

READING_THREADS = 3
"""Reads of a store at a time, beside a group of small ones."""

SMALL_READ = 32
"""Most documents of a read that is answered together with others: it must not keep them waiting."""

CONNECTIONS = COMMITTING_THREADS + 2 + WAITING_THREADS + READING_THREADS
"""Most connections of a store, beside two for hints and two for live values: a connection for each
thread. One thread claims, and one answers small reads."""

MOST_PREPARED = 250
"""Statements that a connection prepares. The server keeps a plan of each, for every connection.
Commits and claims have fewer; searches with their filters may have more."""

# --- groups that overlap --------------------------------------------------------------------------

LEAST_BESIDE = 16
"""Commands of a group that is begun beside another one. What is the same for each transaction takes
as much as six appends; fewer calls wait, and share one."""

MOST_LOOKED_AT = 1_024
"""Calls that are looked at for such a group, so that a long line before one row costs little."""

# --- locks that other transactions hold -----------------------------------------------------------

GROUP_LOCK_MS = 100
"""How long a group waits for a lock before its calls are carried out one by one. Two commits that
meet are done sooner than this; a transaction that an application keeps open is not."""

SINGLE_LOCK_MS = 5
"""How long each call of such a group waits before it moves to a thread of its own. Short, because
the rest of the group waits behind it."""

ROUND_MS = 1_000
"""The time in which each call that waits for a row has a turn, however many are waiting."""

HOLDER_SECONDS = 2.0
"""How long before its deadline a call that waits for a row asks who holds it, for the error."""

BUSY_MS = 500
"""How long a claim waits for commits to leave the mailboxes that come first. A claim that ignored
them would give out entries in a wrong order; commits seldom take longer than some milliseconds."""

COOLING_SECONDS = 5.0
"""How long claims then ignore those mailboxes, so that a transaction that is kept open slows down
one claim and not each."""

MOST_OWNER_LOCKS = 500
"""Threads whose owners a transaction locks one by one. A server with the usual settings has places
for some 6,000 such locks. A transaction with more threads locks all owners: it is rare, and a group
of single calls has fewer."""

VACUUM_LOCK_SECONDS = 30.0
"""How long an erasure waits for a table that somebody else vacuums, or adds an index to."""

# --- attempts -------------------------------------------------------------------------------------

MOST_CONFLICTS = 5
"""How often a group that loses against other transactions is tried again before it is split up."""

MOST_MEETINGS = 5
"""How often a transaction meets the same row before that row counts as damage. A row that another
writer has inserted is read by the next attempt."""

CONFLICT_PAUSE_SECONDS = (0.002, 0.02)
"""The pause after the first conflict, about the length of a commit; it grows with each, ten-fold at
most. Random, so that two that meet do not meet again."""

OUTAGE_PAUSE_SECONDS = (0.05, 0.25)
"""The pause after a connection was lost or refused. A restart takes seconds, and many processes
reconnect at once."""

BUSY_PAUSE_SECONDS = (0.001, 0.005)
"""The pause before a claim looks again whether the commits have ended."""

CALLER_ATTEMPTS = 5
"""How often a batch is tried in a transaction of the caller's. Between the attempts the
transaction keeps its locks, so it is better to fail soon and let the caller decide."""

# --- notices and waits ----------------------------------------------------------------------------

LOOK_SECONDS = 1.0
"""How often a waiting caller asks the database by itself: a notice may be lost."""

LOOK_PAUSES = (LOOK_SECONDS, 1.2 * LOOK_SECONDS)
"""The pause between two looks whether it is time for that, or something was heard."""

NOTICE_PAUSE_SECONDS = 0.01
"""The pause between two notices of a process: each wakes all who wait, and costs a transaction."""

NOTICE_RETRY_SECONDS = 1.0
"""How often notices connect again. They are hints, and must not add to a server's trouble."""

NOTICE_IDLE_SECONDS = 1.0
"""After how long without use a connection for notices is asked for an answer before it is used. The
server may have ended it; a live value that is sent on it would be lost."""

NOTICE_SECONDS = 5.0
"""How long the server may take over a notice."""

CHECK_SECONDS = 30.0
"""How often a connection on which no notice comes is checked: it may have fallen silent."""

# --- claims ---------------------------------------------------------------------------------------

EXPIRED_MAILBOXES = 1_000
"""Mailboxes with an expired lease that one claim looks at and locks, those that expired first. All
leases of a fleet may expire at once; a claim of ten entries must not lock a million rows."""

# --- sizes ----------------------------------------------------------------------------------------

LARGEST_VALUE = 2**30 - 2**20
"""Most bytes of the rows of one statement. A message to the server may have one GiB."""
