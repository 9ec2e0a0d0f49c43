"""Frequent statements use an index, and listings are ranges of one."""

import sqlite3
from collections.abc import Iterator

import pytest

from treadle.backends.sql.migrations import all_migrations
from treadle.backends.sql.program import Read, Write
from treadle.backends.sql.texts import Texts

TEXTS = Texts("sqlite")
CREATED = ("created_at", "entry_id")
DUE = ("available_at", "entry_id")
PLANS: dict[str, tuple[Read, str]] = {
    "a thread by its id": (
        Read("load_threads_for_update", {}),
        "threads USING INDEX sqlite_autoindex",
    ),
    "a message met again": (
        Read("load_message_ids", {}),
        "messages USING INDEX messages_by_id",
    ),
    "a dedupe key": (Read("load_duplicates", {}), "payloads USING INDEX payloads_by_dedupe_key"),
    "what else is claimed": (
        Read("load_claimed_beside", {}),
        "entries USING INDEX entries_claimed (mailbox_id=?)",
    ),
    "what has not ended": (
        Read("load_unfinished", {}),
        "entries USING INDEX entries_queued (mailbox_id=?)",
    ),
    "what a holder takes": (
        Read("load_waiting", {}),
        "queued USING INDEX entries_queued (mailbox_id=? AND priority=? AND kind=?)",
    ),
    "the runs that end with entries": (
        Read("load_runs_of_entries", {}),
        "active USING INDEX runs_of_entry (source_mailbox_entry_id=?)",
    ),
    "the runs of an entry that is accepted": (
        Read("load_runs_of_settled", {}),
        "active USING INDEX runs_of_entry (source_mailbox_entry_id=?)",
    ),
    "the runs that an interrupt closes": (
        Read("load_runs_of_entries", {}),
        "waiting USING INDEX runs_active (thread_id=?)",
    ),
    "the mailbox of an entry": (
        Read("load_mailbox_of_entry", {}),
        "mailboxes USING INDEX sqlite_autoindex_mailboxes_1 (mailbox_id=?)",
    ),
    "ready queue heads of a priority": (
        Read("ready_heads", {}),
        "SEARCH queue_heads USING INDEX queue_heads_ready"
        " (priority=? AND kind=? AND available_at<?)",
    ),
    "ready queue heads of several kinds": (Read("ready_heads", {}), "MERGE (UNION ALL)"),
    "the highest priority": (
        Read("front_of_queue", {}),
        "SEARCH queue_heads USING INDEX queue_heads_ready",
    ),
    "whether a pause has ended": (
        Read("front_of_queue", {}),
        "mailboxes USING COVERING INDEX mailboxes_paused (pause_ends<?)",
    ),
    "whether a lease has ended": (
        Read("front_of_queue", {}),
        "mailboxes USING INDEX mailboxes_held (lease_until<?)",
    ),
    "the next priority": (
        Read("next_priority", {}),
        "SEARCH queue_heads USING INDEX queue_heads_ready (priority<?)",
    ),
    "leases that ran out": (
        Read("expired_heads", {}),
        "SEARCH mailboxes USING INDEX mailboxes_held (lease_until<?)",
    ),
    "heads of a mailbox": (Read("heads_of_mailbox", {}), "SEARCH heads USING PRIMARY KEY"),
    "retries that keep their order": (
        Read("load_kept", {}),
        "entries USING INDEX entries_queued (mailbox_id=? AND priority=? AND kind=?)",
    ),
    "when something is due": (
        Read("next_ready", {}),
        "SEARCH queue_heads USING INDEX queue_heads_ready (priority=?",
    ),
    "when a lease runs out": (
        Read("next_expiry", {}),
        "USING INDEX mailboxes_held (lease_until>?)",
    ),
    "a page of messages": (
        Read("list_messages", {}, ("after", "before")),
        "sqlite_autoindex_messages_1 (thread_key=? AND position>? AND position<?)",
    ),
    "the last messages": (
        Read("list_messages", {}, (), "DESC"),
        "messages USING INDEX sqlite_autoindex_messages_1 (thread_key=?)",
    ),
    "messages of a run": (
        Read("list_messages", {}, ("run_id",)),
        "messages USING INDEX messages_of_run",
    ),
    "deltas": (
        Read("list_deltas", {}),
        "deltas USING PRIMARY KEY (thread_key=? AND version>? AND version<?)",
    ),
    "threads": (Read("list_threads", {}), "threads USING COVERING INDEX"),
    "threads of an owner": (
        Read("list_threads", {}, ("resource_id",)),
        "threads_of_resource (resource_id=?)",
    ),
    "threads of a parent": (Read("list_threads", {}, ("parent_thread_id",)), "threads_of_parent"),
    "heads by id": (
        Read("list_thread_summaries", {}, ("behind",), "ASC", ("thread_id",)),
        "SEARCH threads USING INDEX sqlite_autoindex_threads_1 (thread_id>?)",
    ),
    "heads by creation": (
        Read(
            "list_thread_summaries", {}, ("created", "behind"), "DESC", ("created_at", "thread_id")
        ),
        "SEARCH threads USING INDEX threads_by_creation (created_at>? AND",
    ),
    "heads of an owner by creation": (
        Read(
            "list_thread_summaries",
            {},
            ("resource_id", "behind"),
            "ASC",
            ("created_at", "thread_id"),
        ),
        "threads_of_resource_by_creation (resource_id=? AND (created_at,thread_id)>(?,?))",
    ),
    "newest heads": (
        Read(
            "list_thread_summaries_by_update", {}, ("roots",), "DESC", ("changed_at", "changed_id")
        ),
        "SCAN threads USING INDEX threads_by_update",
    ),
    "newest heads of an owner": (
        Read(
            "list_thread_summaries_by_update",
            {},
            ("owner", "behind"),
            "DESC",
            ("changed_at", "changed_id"),
        ),
        "threads_of_resource_by_update (resource_id=? AND (updated_at,thread_id)<(?,?))",
    ),
    "last messages": (
        Read("load_newest_messages", {"ids": ["t"], "number": 1}),
        "SEARCH newest USING INDEX sqlite_autoindex_messages_1 (thread_key=? AND position>?)",
    ),
    "runs": (Read("list_runs", {}), "SCAN runs USING INDEX runs_by_age"),
    "runs since": (Read("list_runs", {}, ("created_at_from",)), "runs_by_age (created_at>?)"),
    "runs of a thread": (Read("list_runs", {}, ("thread_id",)), "runs_of_thread (thread_id=?)"),
    "runs of a parent": (Read("list_runs", {}, ("parent_run_id",)), "runs_of_parent"),
    "runs in a status": (Read("list_runs", {}, ("status",)), "runs_in_status (status=?)"),
    "newest runs": (
        Read("search_runs", {}, ("behind",), "DESC", ("created_at", "run_id")),
        "runs_by_age ((created_at,run_id)<(?,?))",
    ),
    "newest runs in a status": (
        Read("search_runs", {}, ("status", "behind"), "DESC", ("created_at", "run_id")),
        "runs_in_status (status=? AND (created_at,run_id)<(?,?))",
    ),
    "runs by update": (
        Read("search_run_times", {}, ("in_status", "behind"), "DESC", ("changed_at", "run_id")),
        "run_times_by_update (in_status=? AND (changed_at,run_id)<(?,?))",
    ),
    "runs of a thread by update": (
        Read("search_run_times", {}, ("of_thread", "in_status"), "DESC", ("changed_at", "run_id")),
        "run_times_of_thread (of_thread=? AND in_status=?)",
    ),
    "newest runs of an owner": (
        Read(
            "search_run_times",
            {},
            ("owner", "in_status", "behind"),
            "DESC",
            ("begun_at", "run_id"),
        ),
        "run_times_of_owner (owner=? AND in_status=? AND (begun_at,run_id)<(?,?))",
    ),
    "runs of an owner by update": (
        Read("search_run_times", {}, ("owner", "in_status"), "ASC", ("changed_at", "run_id")),
        "run_times_of_owner_by_update (owner=? AND in_status=?)",
    ),
    "how many runs there are": (
        Read("count_runs_by_status", {}),
        "SCAN run_times USING COVERING INDEX run_times_by_update",
    ),
    "how many runs an owner has": (
        Read("count_runs_by_status", {}, ("owner",)),
        "USING COVERING INDEX run_times_of_owner",
    ),
    "what runs have used": (
        Read("read_usage", {}, ("since", "until"), "ASC", ("created_at", "run_id")),
        "runs_by_age (created_at>? AND created_at<?)",
    ),
    "the active run": (Read("find_active_run", {}), "runs_active (thread_id=?)"),
    "entries": (Read("list_entries", {}), "SCAN entries USING INDEX entries_by_age"),
    "entries of a mailbox": (
        Read("list_entries", {}, ("mailbox_id",)),
        "entries_of_mailbox (mailbox_id=?)",
    ),
    "entries in a status": (Read("list_entries", {}, ("status",)), "entries_in_status (status=?)"),
    "newest entries": (
        Read("search_by_age", {}, ("behind",), "DESC", CREATED),
        "entries USING INDEX entries_by_age ((created_at,entry_id)<(?,?))",
    ),
    "newest entries of a mailbox": (
        Read("search_by_age", {}, ("mailbox_id", "behind"), "DESC", CREATED),
        "entries_of_mailbox (mailbox_id=? AND (created_at,entry_id)<(?,?))",
    ),
    "newest entries of a mailbox that are done": (
        Read("search_by_age", {}, ("mailbox_id", "filter"), "DESC", CREATED),
        "entries_of_mailbox (mailbox_id=?)",
    ),
    "newest entries in a status": (
        Read("search_entries", {}, ("status", "behind"), "DESC", CREATED),
        "entries_in_status (status=? AND (created_at,entry_id)<(?,?))",
    ),
    "newest entries in a mailbox that wait": (
        Read("search_unfinished", {}, ("mailbox", "filter", "behind"), "DESC", CREATED),
        "entries_unfinished_of_mailbox (mailbox_id=? AND (created_at,entry_id)<(?,?))",
    ),
    "newest entries in a mailbox that failed": (
        Read("search_stopped", {}, ("mailbox", "status", "behind"), "DESC", CREATED),
        "stopped_of_mailbox (mailbox_id=? AND status=? AND (created_at,entry_id)<(?,?))",
    ),
    "entries by when they are due": (
        Read("search_undelayed", {}, ("behind",), "ASC", DUE),
        "entries USING INDEX entries_undelayed ((available_at,entry_id)>(?,?))",
    ),
    "entries that are scheduled": (
        Read("search_scheduled", {}, ("after_now", "behind"), "DESC", DUE),
        "entries USING INDEX entries_scheduled (available_at>? AND (available_at,entry_id)<(?,?))",
    ),
    "entries that wait for their retry": (
        Read("search_retrying", {}, ("after_now",), "ASC", DUE),
        "entries USING INDEX entries_retrying (available_at>?)",
    ),
    "mailboxes by id": (
        Read("list_mailbox_summaries", {}, ("behind",), "DESC", ("mailbox_id",)),
        "mailboxes USING INDEX sqlite_autoindex_mailboxes_1 (mailbox_id<?)",
    ),
    "mailboxes by their last change": (
        Read("list_mailbox_summaries", {}, ("behind",), "DESC", ("updated_at", "mailbox_id")),
        "mailboxes USING INDEX mailboxes_by_update ((updated_at,mailbox_id)<(?,?))",
    ),
    "claims of mailboxes": (
        Read("list_claims", {}),
        "entries USING INDEX entries_claimed (mailbox_id=?)",
    ),
    "counts": (Read("count_entries", {}), "USING COVERING INDEX entries_in_status"),
    "what may be purged": (Read("count_ended", {}), "entries_ended (ended_at<?)"),
    "entries of deleted mailboxes": (
        Read("load_entries_of_mailboxes", {}),
        "entries USING INDEX entries_of_mailbox (mailbox_id=?)",
    ),
}
BOUNDED: dict[str, tuple[Read, tuple[str, ...]]] = {
    "entries of paused mailboxes": (
        Read("search_paused", {}, ("behind",), "DESC", CREATED),
        (
            "mailboxes USING INDEX mailboxes_with_pause (<expr>>?)",
            "entries_unfinished_of_mailbox (mailbox_id=? AND (created_at,entry_id)<(?,?))",
            "entries USING PRIMARY KEY (entry_id=?)",
        ),
    ),
    "what waits in a mailbox": (
        Read("search_due_of_mailbox", {}, ("mailbox_id",), "DESC", DUE),
        ("entries_queued (mailbox_id=?)", "entries USING PRIMARY KEY (entry_id=?)"),
    ),
    "counts of groups": (
        Read("count_groups", {}),
        (
            "entries USING INDEX entries_undelayed",
            "entries_scheduled (available_at<?)",
            "entries_scheduled (available_at>?)",
            "entries_retrying (available_at<?)",
            "entries_retrying (available_at>?)",
            "mailboxes USING INDEX mailboxes_with_pause (<expr>>?)",
            "entries USING INDEX entries_queued (mailbox_id=?)",
            "entries USING COVERING INDEX entries_in_status (status=?)",
        ),
    ),
    "counts of a mailbox": (
        Read("count_queued", {}),
        (
            "entries USING INDEX entries_claimed (mailbox_id=?)",
            "entries_unfinished_of_mailbox (mailbox_id=?)",
            "entries_stopped_of_mailbox (mailbox_id=? AND status=?)",
        ),
    ),
    "counts of what has ended in a mailbox": (
        Read("count_settled", {}),
        ("entries_of_mailbox (mailbox_id=?)",),
    ),
    "what the runs of an owner have used": (
        Read("read_usage_of_owner", {}, ("owner", "begun_since"), "DESC", ("begun_at", "run_id")),
        ("run_times USING COVERING INDEX run_times_of_owner (owner=?)",),
    ),
    "errors": (Read("list_errors", {}, ("status",)), ("entries_in_status (status=?)",)),
    "errors of a mailbox": (
        Read("list_errors", {}, ("mailbox", "status")),
        ("entries_stopped_of_mailbox (mailbox_id=? AND status=?)",),
    ),
    "holders": (Read("list_consumers", {}), ("entries_in_status (status=?)",)),
    "heads of mailboxes with a prefix": (
        Read("heads_among", {}),
        ("SEARCH queue_heads USING PRIMARY KEY (mailbox_id>? AND mailbox_id<?)",),
    ),
    "when a mailbox with a prefix is due": (
        Read("time_among", {}),
        ("SEARCH queue_heads USING PRIMARY KEY (mailbox_id>? AND mailbox_id<?)",),
    ),
    "the first heads that have a prefix": (
        Read("ready_heads_among", {}, ("heads_among",)),
        (
            "MERGE (UNION ALL)",
            "queue_heads USING INDEX queue_heads_ready (priority=? AND kind=? AND available_at<?)",
        ),
    ),
    "when the first head with a prefix is due": (
        Read("ready_time_among", {}, ("heads_among",)),
        ("SEARCH queue_heads USING INDEX queue_heads_ready (priority=? AND kind=?)",),
    ),
    "leases of mailboxes with a prefix": (
        Read("expired_heads", {}, ("mailboxes_among",)),
        ("SEARCH mailboxes USING INDEX mailboxes_held (lease_until<?)",),
    ),
    "when leases of mailboxes with a prefix run out": (
        Read("next_expiry", {}, ("mailboxes_among",)),
        ("SEARCH mailboxes USING INDEX mailboxes_held (lease_until>?)",),
    ),
}
"""Queries that look at a bounded number of rows, and then sort or count them."""

WRITES: dict[str, tuple[str, str]] = {
    "an entry changes": (
        "update_entry",
        "entries USING PRIMARY KEY (entry_id=?)",
    ),
    "the next entry becomes queue head": (
        "promote_head",
        "queued USING INDEX entries_queued (mailbox_id=? AND priority=? AND kind=?)",
    ),
    "a queue head is removed": ("remove_head", "queue_heads USING PRIMARY KEY"),
    "queue heads are blocked": ("block_heads", "queued USING PRIMARY KEY (mailbox_id=?)"),
    "a lease is known": (
        "refresh_lease",
        "entries USING INDEX entries_claimed (mailbox_id=?)",
    ),
    "a thread moves on": ("update_thread", "threads USING INDEX sqlite_autoindex_threads_1"),
    "a purge": ("purge_entries", "entries_ended (ended_at<?)"),
}


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for migration in all_migrations("sqlite"):
        for statement in migration.statements():
            connection.execute(statement)
    yield connection
    connection.close()


def plan_of(database: sqlite3.Connection, text: str) -> list[str]:
    names = dict.fromkeys(_names(text), 1)
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", names)]


def _names(text: str) -> set[str]:
    words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {word[1:] for word in words if word.startswith(":")}


@pytest.mark.parametrize(("read", "expected"), PLANS.values(), ids=PLANS)
def test_a_query_uses_its_index(database: sqlite3.Connection, read: Read, expected: str) -> None:
    plan = plan_of(database, TEXTS.of(read))
    assert any(expected in step for step in plan), plan
    assert not any("USE TEMP B-TREE FOR ORDER BY" in step for step in plan), plan


def test_the_children_of_a_thread_are_found_and_sorted(database: sqlite3.Connection) -> None:
    conditions, sort = ("parent_thread_id", "behind"), ("updated_at", "thread_id")
    plan = plan_of(database, TEXTS.of(Read("list_children", {}, conditions, "DESC", sort)))
    assert "SEARCH threads USING INDEX threads_of_parent (parent_thread_id=?)" in plan


@pytest.mark.parametrize(("read", "expected"), BOUNDED.values(), ids=BOUNDED)
def test_a_query_reads_the_rows_that_it_counts_off_an_index(
    database: sqlite3.Connection, read: Read, expected: tuple[str, ...]
) -> None:
    plan = plan_of(database, TEXTS.of(read))
    for step in expected:
        assert any(step in each for each in plan), (step, plan)
    assert not any(each.startswith("SCAN entries ") and "INDEX" not in each for each in plan), plan


@pytest.mark.parametrize(("name", "expected"), WRITES.values(), ids=WRITES)
def test_a_write_uses_its_index(database: sqlite3.Connection, name: str, expected: str) -> None:
    plan = plan_of(database, TEXTS.of(Write(name, ())))
    assert any(expected in step for step in plan), plan
