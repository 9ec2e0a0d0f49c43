"""The sizes of the workloads: in full, and for `--quick`.

In full, all workloads but the dashboard's and the streams' together take at most 15 minutes on two
cores that do nothing else. That is why only the tables of PostgreSQL see a million entries go
through, and slow subjects do little.
"""

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the workloads; slow subjects do less where a table says so."""

    repeats: int = 5
    """How often a subject that is not slow is measured; the table has the medians."""
    appends: int = 1_000
    """Appends of one caller to one thread."""
    appends_slow: int = 300
    appends_on_server: int = 500
    edge: int = 100
    """The first and last appends, whose medians are compared."""
    callers: int = 64
    appends_each: int = 30
    appends_each_slow: int = 20
    appends_each_in_files: int = 50
    page: int = 50
    lengths: tuple[int, ...] = (100, 10_000)
    """Messages in the threads of which a page is read."""
    longest_for_peers: int = 10_000
    """The longest thread for subjects that cannot be filled quickly."""
    reads: int = 50
    drained: int = 3_000
    """Entries that one process drains."""
    batches: int = 3
    """How many sizes of batches they are drained in."""
    churned: int = 1_000_000
    """Entries that are sent and settled, to see how the tables grow."""
    entries: int = 600
    """Entries that are claimed and acknowledged in each queue."""
    in_flight: int = 64
    depths: tuple[int, int] = (1_000, 250_000)
    entries_each: int = 10
    """Queued in each mailbox."""
    grown: tuple[int, int] = (100, 10_000)
    """Messages in the threads that are appended to."""
    edited: tuple[int, int] = (100, 10_000)
    """Messages in the threads of which some are taken back."""
    owned: tuple[int, int] = (100, 5_000)
    """Threads of one owner."""
    messages_of_owned: int = 20
    messages_each: int = 200
    turns: int = 400
    """Turns of one conversation."""
    turns_at_an_end: int = 20
    """The first and the last turns, whose medians are compared."""
    turns_each: int = 10
    """Turns of each conversation if there are many at a time."""
    listeners: int = 1_000
    idle_seconds: float = 2.0
    """How long nothing happens while they listen."""
    presses: int = 20
    """How often a handler is begun and cancelled, and a run asked for over HTTP."""
    requests: int = 1_000
    """Requests of each kind to the HTTP API."""
    streams: tuple[int, int] = (2_000, 200)
    """Streams of events that are idle, and busy."""
    rounds: int = 60
    """Messages in each thread with a busy stream, one a second."""
    stops: int = 5
    """How often a server with streams is stopped."""
    held: int = 100
    """Claims of a worker that waits."""
    held_seconds: float = 10.0
    """How long it waits: a renewal of its leases."""
    newest: int = 20
    """ThreadChecks in a page of the newest."""
    shown: tuple[int, int] = (100_000, 1_000_000)
    """Threads and entries of the store that a dashboard shows."""
    looks: int = 20
    """How often each of its pages is asked for."""
    used: int = 100_000
    """Appends, and claims, through a store that stays open while the process's memory is read."""
    documents: tuple[int, int] = (1_000, 100_000)
    stored: int = 10_000
    """Messages whose size on disk is measured."""
    stored_slow: int = 200
    text_lengths: tuple[int, ...] = (1_000,)
    """Characters in these messages."""
    lengths_in_files: tuple[int, ...] = (10, 100, 1_000)
    depths_in_files: tuple[int, ...] = (1_000, 50_000)
    """Entries in the queues of plain files."""
    operations: int = 300
    opens: int = 20
    """How often a store is opened and closed."""
    syncs_first: bool = True
    """Sync the disk before something is timed, which may take seconds."""


QUICK = Sizes(
    repeats=1,
    appends=20,
    appends_slow=5,
    appends_on_server=10,
    edge=5,
    callers=8,
    appends_each=3,
    appends_each_slow=2,
    appends_each_in_files=3,
    page=5,
    lengths=(10, 50, 100),
    longest_for_peers=50,
    reads=5,
    drained=100,
    batches=1,
    churned=400,
    entries=50,
    in_flight=8,
    depths=(40, 400),
    grown=(10, 100),
    edited=(10, 100),
    owned=(10, 20),
    messages_of_owned=2,
    messages_each=4,
    turns=4,
    turns_at_an_end=2,
    turns_each=2,
    listeners=10,
    idle_seconds=0.1,
    presses=2,
    requests=10,
    streams=(20, 4),
    rounds=1,
    stops=1,
    held=3,
    held_seconds=0.1,
    newest=5,
    shown=(200, 2_000),
    looks=1,
    used=100,
    documents=(20, 100),
    stored=20,
    stored_slow=4,
    lengths_in_files=(5, 10),
    depths_in_files=(50, 100),
    operations=10,
    opens=2,
    syncs_first=False,
)
