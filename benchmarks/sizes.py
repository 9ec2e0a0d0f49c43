"""How much is done: in full, and to see that it runs."""

import msgspec


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much each workload does; slow subjects do less where a table says so."""

    repeats: int = 5
    """How often a subject that is not slow starts anew; the table has the median."""
    appends: int = 1_000
    """One caller's appends to one thread."""
    edge: int = 100
    """The first and last appends, whose medians are compared."""
    callers: int = 64
    appends_each: int = 100
    appends_each_slow: int = 20
    page: int = 50
    lengths: tuple[int, ...] = (100, 10_000, 100_000)
    """Of the threads that a page is read from."""
    longest_for_peers: int = 10_000
    """Of the threads that a subject without a quick way to fill one is asked to read."""
    reads: int = 100
    drained: int = 10_000
    """Entries that one process works off."""
    gone_through: int = 1_000_000
    """Entries that go through, for what they leave behind."""
    entries: int = 1_000
    """Claimed and acknowledged, one queue after the other."""
    in_flight: int = 64
    depths: tuple[int, int] = (1_000, 1_000_000)
    entries_each: int = 10
    """Queued in each mailbox."""
    grown: tuple[int, int] = (100, 100_000)
    """Messages in the threads that are appended to."""
    lengths_in_files: tuple[int, ...] = (10, 100, 1_000)
    depths_in_files: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Threads and queues of plain files, beside their floor."""
    operations: int = 300
    settles: bool = True
    """Whether the disk is left to finish before something is timed, which may take it seconds."""


QUICK = Sizes(
    repeats=1,
    appends=20,
    edge=5,
    callers=8,
    appends_each=3,
    appends_each_slow=2,
    page=5,
    lengths=(10, 100, 500),
    longest_for_peers=100,
    reads=5,
    drained=300,
    gone_through=2_000,
    entries=50,
    in_flight=8,
    depths=(100, 10_000),
    grown=(10, 500),
    lengths_in_files=(5, 10),
    depths_in_files=(50, 100),
    operations=10,
    settles=False,
)
