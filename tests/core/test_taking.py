"""Taking more: what a holder takes is what claims would give, one after the other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.core.claims import first_claimable, is_of_one_holder, taken
from treadle.core.mailboxes import MailboxEntry
from treadle.core.read_set import ReadSet
from treadle.core.taking import Take, choose_further
from treadle.testing._harness.builders import entry

NOW = 1_000
HELD = entry("held", status="claimed", claim_token="mine", claimed_by="w", lease_until=NOW + 5)


@st.composite
def queues(draw: st.DrawFn) -> list[MailboxEntry]:
    """Entries of one mailbox about `NOW`: due, due later, failed and in order, claimed before."""
    times = st.integers(NOW - 2, NOW + 2)
    return [
        entry(
            f"e{number}",
            status=draw(st.sampled_from(["queued", "queued", "claimed", "accepted"])),
            priority=draw(st.integers(0, 2)),
            available_at=draw(times),
            turn=draw(st.none() | times),
            created_at=draw(times),
            claim_token=f"of e{number}",
            lease_until=draw(st.integers(NOW - 2, NOW)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@given(queues(), st.integers(-1, 9), st.randoms())
def test_a_holder_takes_what_claims_would_give_in_their_order(
    queue: list[MailboxEntry], limit: int, random: Any
) -> None:
    left = list(queue)
    expected: list[MailboxEntry] = []
    while (first := first_claimable(left, NOW)) is not None:
        expected.append(first)
        left.remove(first)
    shuffled = [*queue, HELD]
    random.shuffle(shuffled)
    assert choose_further(shuffled, HELD, limit, NOW) == expected[: max(limit, 0)]


@pytest.mark.parametrize(
    ("token", "other", "is_one"),
    [
        ("mine", "mine", True),
        ("mine", "mine/more.1", True),
        ("mine/more.1", "mine/again.7", True),
        ("mine", "mine more.1", False),
        ("mine/more.1", "yours/more.1", False),
    ],
)
def test_claims_are_of_one_holder_if_their_tokens_begin_with_one_claim(
    token: str, other: str, is_one: bool
) -> None:
    one = entry("one", status="claimed", claim_token=token)
    two = entry("two", status="claimed", claim_token=other)
    assert is_of_one_holder(one, two) is is_one
    assert not is_of_one_holder(one, entry("queued", claim_token=token))


def test_what_is_taken_under_a_taken_entry_is_of_the_same_holder() -> None:
    first = taken(entry("first"), HELD, "a.1", NOW)
    second = taken(entry("second"), first, "b.1", NOW)
    assert (first.claim_token, second.claim_token) == ("mine/a.1", "mine/b.1")
    assert is_of_one_holder(second, HELD)


def test_several_takes_of_a_group_load_what_they_take_together() -> None:
    read_set = ReadSet()
    for limit in (3, 2, -5):
        Take(entry_id="held", claim_token="mine", name="n", limit=limit).touches(read_set)
    read_set.entries.add("cancelled")
    read_set.duplicates.add(("box", "withdrawn"))
    assert read_set.first_waiting() == 3 + 2 + 2 + 1
