"""The page about tirea maps every recorded call to an existing method and its arguments."""

import inspect
import re
from collections.abc import Iterator

from tests.docs.documents import document
from treadle import Store, Thread
from treadle.store.mailboxes import Mailboxes
from treadle.store.runs import Runs
from treadle.store.threads import Threads
from treadle.testing._harness.recorded.replay import CALLS

PARTS = {"threads": Threads, "runs": Runs, "mailboxes": Mailboxes}
RECORDED = {
    "create": "create",
    "append": "append",
    "save": "save",
    "delete": "delete",
    "load": "load",
    "load_messages": "load_messages",
    "list_threads": "list_threads",
    "rebuild": "rebuild_state",
    "load_run": "load_run",
    "active_run": "active_run_for_thread",
    "enqueue": "enqueue_mailbox_entry",
    "ensure": "ensure_mailbox_state",
    "claim": "claim_mailbox_entries",
    "claim_entry": "claim_mailbox_entry",
    "ack": "ack_mailbox_entry",
    "nack": "nack_mailbox_entry",
    "dead_letter": "dead_letter_mailbox_entry",
    "extend": "extend_lease",
    "cancel": "cancel_mailbox_entry",
    "supersede": "supersede_mailbox_entry",
    "cancel_pending": "cancel_pending_for_mailbox",
    "interrupt": "interrupt_mailbox",
    "purge": "purge_terminal_mailbox_entries",
    "load_entry": "load_mailbox_entry",
    "load_state": "load_mailbox_state",
    "list_entries": "list_mailbox_entries",
}
"""tirea's methods, by the names of their recorded calls."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield the part of a store, tirea's call and Treadle's call of each row."""
    part = ""
    for line in document("explanation/coming-from-tirea.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if head := re.match(r"\| tirea: .*`store\.(\w+)`", line):
            part = head[1]
        elif part and line.startswith("| `") and len(cells) >= 2:
            yield part, cells[0], cells[1]
        elif not line.startswith("|"):
            part = ""


def test_every_recorded_call_is_in_the_tables_and_marked() -> None:
    marked = {name for _, theirs, _ in rows() if "*" in theirs for name in calls(theirs)}
    assert RECORDED.keys() == CALLS.keys()
    assert set(RECORDED.values()) <= marked


def test_every_method_in_the_tables_exists_with_its_arguments() -> None:
    count = 0
    for part, _, ours in rows():
        for name, listed in re.findall(r"`(?:thread\.)?(\w+)\(([^)]*)\)", ours):
            owner = Thread if "thread." in ours else PARTS[part]
            parameters = inspect.signature(getattr(owner, name)).parameters
            arguments = [each.split("=")[0].strip() for each in listed.split(",") if each.strip()]
            assert set(arguments) - {"…"} <= parameters.keys(), (name, arguments)
            count += 1
    assert count > 30


def test_every_name_that_the_page_calls_new_exists() -> None:
    page = document("explanation/coming-from-tirea.md")
    [new] = re.findall(r"New are (.*?), and the worker", page, re.DOTALL)
    for name in re.findall(r"`(\w+)`", new):
        assert any(hasattr(each, name) for each in (Store, *PARTS.values())) or name == "hold"


def calls(text: str) -> list[str]:
    """Return the names of the methods that a cell calls."""
    return re.findall(r"(\w+)\(", text)
