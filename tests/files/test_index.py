"""The index of a folder's entries looks at few of them, however many wait."""

import tracemalloc
from collections.abc import Iterator, Mapping

import pytest

from treadle import MailboxEntry, MailboxState
from treadle.backends.files._index import MailboxIndex
from treadle.core.claims import ClaimRequest
from treadle.testing._harness.builders import entry


class Counted(Mapping[str, MailboxEntry]):
    """Entries by id, and how many were looked up."""

    def __init__(self, entries: list[MailboxEntry]) -> None:
        self.rows = {each.entry_id: each for each in entries}
        self.count = 0

    def __getitem__(self, key: str) -> MailboxEntry:
        self.count += 1
        return self.rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@pytest.mark.parametrize("depth", [100, 10_000])
def test_what_a_holder_takes_is_found_without_a_look_at_the_whole_queue(depth: int) -> None:
    entries = Counted([entry(f"e{number:05}", turn=number) for number in range(depth)])
    index = MailboxIndex(entries, {})
    entries.count = 0
    for step in range(10):
        found = index.first_waiting("box", 5, 0)[:5]
        assert [each.turn for each in found] == list(range(5 * step, 5 * step + 5))
        for each in found:
            entries.rows[each.entry_id] = held = MailboxEntry(
                entry_id=each.entry_id,
                mailbox_id="box",
                turn=each.turn,
                status="claimed",
                claim_token="t",
                lease_until=99,
            )
            index.replace(each, held)
    assert entries.count < 2_000


def test_looks_at_a_paused_mailbox_take_no_memory() -> None:
    entries = {each.entry_id: each for each in (entry("e1"), entry("e2"))}
    paused = MailboxState(mailbox_id="box", paused_at=0, paused_until=10_000)
    index = MailboxIndex(entries, {"box": paused})
    only_this = ClaimRequest(consumer="w", mailbox_id="box")
    index.choose(only_this, 0)
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for now in range(5_000):
        assert index.choose(only_this, now) == []
        assert index.next_due(now, "box") == 10_000
    grown = sum(each.size_diff for each in tracemalloc.take_snapshot().compare_to(before, "lineno"))
    tracemalloc.stop()
    assert grown < 50_000
    assert [each.mailbox_id for each in index.choose(ClaimRequest(consumer="w"), 10_000)] == ["box"]


def test_a_pause_that_is_made_longer_ends_at_its_new_end() -> None:
    states = {"box": MailboxState(mailbox_id="box", paused_at=0, paused_until=10)}
    index = MailboxIndex({"e1": entry("e1")}, states)
    anything = ClaimRequest(consumer="w")
    assert index.choose(anything, 0) == []
    states["box"] = MailboxState(mailbox_id="box", paused_at=0, paused_until=20)
    index.offer("box")
    assert index.choose(anything, 10) == []
    assert index.next_due(10, None) == 20
    assert len(index.choose(anything, 20)) == 1
