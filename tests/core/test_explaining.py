"""Explaining: an entry without obstacles is the one that a claim of its mailbox gives."""

from hypothesis import given
from hypothesis import strategies as st

from treadle import EntryStatus, MailboxEntry, MailboxState, ObstacleKind
from treadle.core.claims import ClaimRequest, choose
from treadle.core.explaining import explained
from treadle.core.mailbox_pauses import is_paused
from treadle.testing._harness.builders import entry

NOW = 1_000
TIMES = st.sampled_from([0, NOW - 1, NOW, NOW + 1])
CLAIM = ClaimRequest(consumer="w", mailbox_id="box")
OTHERS: tuple[EntryStatus, ...] = ("queued", "queued", "accepted")
HARMLESS: set[ObstacleKind] = {"older_generation"}


@st.composite
def mailboxes(draw: st.DrawFn) -> tuple[MailboxState, list[MailboxEntry]]:
    """A mailbox and its entries, in whatever statuses."""
    paused_at = draw(st.none() | TIMES)
    state = MailboxState(
        mailbox_id="box",
        current_generation=draw(st.sampled_from([0, 0, 1])),
        paused_at=paused_at,
        paused_until=draw(st.none() | TIMES),
    )
    entries: list[MailboxEntry] = []
    for number in range(draw(st.integers(1, 6))):
        claimed = draw(st.sampled_from([False, False, True]))
        lease_until = draw(st.none() | TIMES) if claimed else None
        new = entry(
            f"e{number}",
            status="claimed"
            if claimed
            else draw(st.sampled_from(["queued", "queued", "accepted"])),
            priority=draw(st.sampled_from([0, 0, 1])),
            available_at=draw(TIMES),
            turn=draw(st.none() | TIMES),
            claim_token=draw(st.sampled_from(["a", "b"])) if claimed else None,
            claimed_by="w" if claimed else None,
            lease_until=lease_until,
        )
        entries.append(new)
    return state, entries


@given(mailboxes())
def test_what_has_no_obstacles_is_what_a_claim_gives(
    mailbox: tuple[MailboxState, list[MailboxEntry]],
) -> None:
    state, entries = mailbox
    unfinished = [each for each in entries if each.status in ("queued", "claimed")]
    paused = (state.mailbox_id,) if is_paused(state, NOW) else ()
    given_out = choose(unfinished, CLAIM, NOW, paused)
    free = [
        each
        for each in entries
        if {found.kind for found in explained(each, state, unfinished, NOW).obstacles} <= HARMLESS
    ]
    assert free == given_out


@given(mailboxes())
def test_the_first_entries_of_a_mailbox_explain_as_much_as_all(
    mailbox: tuple[MailboxState, list[MailboxEntry]],
) -> None:
    state, entries = mailbox
    unfinished = [each for each in entries if each.status in ("queued", "claimed")]
    held = [each for each in unfinished if each.status == "claimed"]
    for each in entries:
        whole = explained(each, state, unfinished, NOW)
        named = {name for found in whole.obstacles for name in found.entry_ids}
        few = [*held, *(other for other in unfinished if other.entry_id in named)]
        assert explained(each, state, few, NOW) == whole
