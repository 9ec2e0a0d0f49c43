"""The index of a folder's entries looks at few of them, however many wait."""

from collections.abc import Iterator, Mapping

import pytest

from treadle import MailboxEntry
from treadle.backends.files._index import MailboxIndex
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
