"""The doctor of database files: each kind of damage is named, and a healthy store has none."""

import asyncio
from pathlib import Path

import pytest

from tests.sqlite.support import change, filled, in_store, look, opened
from treadle import InvalidValue, SchemaTooNew, Store, StoreUnavailable, Thread
from treadle.backends.findings import Report
from treadle.backends.sqlite.doctor import examine
from treadle.testing._harness.sample_data import WRITES, fill

KEY = "(SELECT thread_key FROM threads WHERE thread_id = 't')"
Q = "mailboxes/box/entries/queued"
HEAD = "mailboxes/box/queue_heads/0"

DAMAGE: dict[str, tuple[str, str, str]] = {
    # what is damaged: the statement, the place that is named, and a part of the reason
    "a body that is no JSON": (
        f"UPDATE thread_bodies SET body = '{{' WHERE thread_key = {KEY}",
        "threads/t",
        "truncated",
    ),
    "a state that is no JSON": (
        f"UPDATE thread_bodies SET state = 'x' WHERE thread_key = {KEY}",
        "threads/t",
        "malformed",
    ),
    "a body of another thread": (
        f"UPDATE thread_bodies SET body = replace(body, '\"t\"', '\"z\"') WHERE thread_key = {KEY}",
        "threads/t",
        "thread_id is 't', and its body says 'z'",
    ),
    "a label that is not the body's": (
        "UPDATE threads SET parent_thread_id = 'y' WHERE thread_id = 'u'",
        "threads/u",
        "parent_thread_id is 'y', and its body says None",
    ),
    "an id that is none": (
        "UPDATE threads SET thread_id = 'a/b' WHERE thread_id = 't'",
        "threads/a/b",
        "it must not contain /",
    ),
    "a version that is text": (
        "UPDATE threads SET version = 'one' WHERE thread_id = 'u'",
        "threads/u",
        "version: Expected `int`, got `str`",
    ),
    "a message that is no JSON": (
        f"UPDATE messages SET body = 'x' WHERE thread_key = {KEY} AND position = 1",
        "threads/t/messages/1",
        "malformed",
    ),
    "a message that is none": (
        f"UPDATE messages SET body = '{{\"role\": 1}}' WHERE thread_key = {KEY} AND position = 1",
        "threads/t/messages/1",
        "Expected `str`",
    ),
    "a message that is bytes": (
        f"UPDATE messages SET body = CAST(body AS BLOB) WHERE thread_key = {KEY} AND position = 1",
        "threads/t/messages/1",
        "Expected `str`, got `bytes`",
    ),
    "a message that is not UTF-8": (
        f"UPDATE messages SET body = CAST(x'22ff22' AS TEXT) WHERE thread_key = {KEY}"
        " AND position = 1",
        "threads/t/messages/1",
        "body is not UTF-8",
    ),
    "a message at a place that is none": (
        f"UPDATE messages SET position = 'x' WHERE thread_key = {KEY} AND position = 1",
        "threads/t/messages/x",
        "position: Expected `int`, got `str`",
    ),
    "a message with another id": (
        f"UPDATE messages SET message_id = 'm9' WHERE thread_key = {KEY} AND position = 0",
        "threads/t/messages/0",
        "JSON is malformed",
    ),
    "an id in a body": (
        f"UPDATE messages SET body = json_set(body, '$.id', 'm9') WHERE thread_key = {KEY}"
        " AND position = 0",
        "threads/t/messages/0",
        "its body has an id, which belongs in its column",
    ),
    "a gap": (
        f"UPDATE messages SET position = 5 WHERE thread_key = {KEY} AND position = 1",
        "threads/t",
        "its 2 messages are at 0 to 5, with gaps",
    ),
    "a message too few": (
        f"DELETE FROM messages WHERE thread_key = {KEY} AND position = 1",
        "threads/t",
        "it counts 2 messages, and its last one is at 0",
    ),
    "a message of no thread": (
        "UPDATE messages SET thread_key = 99 WHERE position = 1",
        "threads/#99/messages/1",
        "its thread is missing",
    ),
    "a message too few at the beginning": (
        f"DELETE FROM messages WHERE thread_key = {KEY} AND position = 0",
        "threads/t",
        "it counts 2 messages, and the first one is missing",
    ),
    "a patch too many": (
        f"INSERT INTO patches SELECT thread_key, 1, body FROM patches WHERE thread_key = {KEY}",
        "threads/t",
        "it counts 1 patches, and its last one is at 1",
    ),
    "a gap between patches": (
        f"INSERT INTO patches SELECT thread_key, 5, body FROM patches WHERE thread_key = {KEY}",
        "threads/t",
        "its 2 patches are at 0 to 5, with gaps",
    ),
    "a patch that is none": (
        f"UPDATE patches SET body = '[]' WHERE thread_key = {KEY}",
        "threads/t/patches/0",
        "Expected `object`, got `array`",
    ),
    "a patch of no thread": (
        "UPDATE patches SET thread_key = 99",
        "threads/#99/patches/0",
        "its thread is missing",
    ),
    "a delta that is none": (
        f"UPDATE deltas SET body = '{{}}' WHERE thread_key = {KEY}",
        "threads/t/deltas/1",
        "messages",
    ),
    "a delta that names what is not there": (
        f"UPDATE deltas SET body = replace(body, '[1]', '[7]') WHERE thread_key = {KEY}",
        "threads/t/deltas/1",
        "it names message 7, which the thread never had",
    ),
    "a removed message from nobody": (
        f"INSERT INTO removed_messages SELECT {KEY}, 1, 2, NULL, NULL, '{{}}'",
        "threads/t/removed_messages/1@2",
        "role",
    ),
    "a removed message of no thread": (
        "INSERT INTO removed_messages SELECT 99, 1, 2, NULL, NULL, '{}'",
        "threads/#99/removed_messages/1@2",
        "its thread is missing",
    ),
    "deltas that lead elsewhere": (
        "UPDATE threads SET version = 5 WHERE thread_id = 't'",
        "threads/t",
        "it is at version 5, and its 3 deltas lead to versions 1 to 3",
    ),
    "a delta of no thread": (
        "UPDATE deltas SET thread_key = 99",
        "threads/#99/deltas/1",
        "its thread is missing",
    ),
    "a thread without its body": (
        f"DELETE FROM thread_bodies WHERE thread_key = {KEY}",
        "threads/t",
        "its body is missing",
    ),
    "a body without its thread": (
        "INSERT INTO thread_bodies VALUES (99, '{}', 'null')",
        "threads/#99",
        "its thread is missing",
    ),
    "a run that is no JSON": ("UPDATE runs SET body = ''", "runs/r", "truncated"),
    "a run in another status": (
        "UPDATE runs SET status = 'lost'",
        "runs/r",
        "status is 'lost', and its body says 'running'",
    ),
    "a mailbox with a generation that is none": (
        "UPDATE mailboxes SET current_generation = -1 WHERE mailbox_id = 'box'",
        "mailboxes/box",
        "current_generation: Expected `int` >= 0",
    ),
    "a mailbox whose further fields are none": (
        "UPDATE mailboxes SET extra = '[1]' WHERE mailbox_id = 'box'",
        "mailboxes/box",
        "Expected `object`, got `array`",
    ),
    "an entry in an unknown status": (
        "UPDATE entries SET status = 'lost' WHERE entry_id = 'queued'",
        Q,
        "Invalid enum value 'lost'",
    ),
    "an entry from nowhere": (
        "UPDATE entries SET origin = 'space' WHERE entry_id = 'queued'",
        Q,
        "Invalid enum value 'space'",
    ),
    "an entry with a time that is none": (
        "UPDATE entries SET available_at = 'soon' WHERE entry_id = 'queued'",
        Q,
        "available_at: Expected `int`, got `str`",
    ),
    "an entry that ended and says that it did not": (
        "UPDATE entries SET ended_at = NULL WHERE status = 'accepted'",
        "mailboxes/other/entries/done",
        "ended_at is None",
    ),
    "an entry with a priority that is too high": (
        "UPDATE entries SET priority = 256 WHERE entry_id = 'queued'",
        Q,
        "priority: Expected `int` <= 255",
    ),
    "an entry whose further fields are not JSON": (
        "UPDATE payloads SET extra = '{' WHERE entry_id = 'queued'",
        Q,
        "truncated",
    ),
    "a payload that is no JSON": (
        "UPDATE payloads SET payload = '{' WHERE entry_id = 'queued'",
        Q,
        "truncated",
    ),
    "an entry without its payload": (
        "DELETE FROM payloads WHERE entry_id = 'queued'",
        Q,
        "its payload is missing",
    ),
    "a payload without its entry": (
        "INSERT INTO payloads VALUES ('lost', 'box', 1, NULL, NULL, NULL, NULL, 'null')",
        "mailboxes/box/entries/lost",
        "its payload is there, and it is missing",
    ),
    "an entry without its mailbox": (
        "DELETE FROM mailboxes WHERE mailbox_id = 'box'",
        Q,
        "its mailbox is missing",
    ),
    "a queue head that is missing": (
        "DELETE FROM queue_heads WHERE mailbox_id = 'box'",
        HEAD,
        "it is missing, and entry queued is waiting",
    ),
    "a queue head too many": (
        "INSERT INTO queue_heads VALUES ('box', 7, 2, NULL, 0, 0, 'queued', 1)",
        "mailboxes/box/queue_heads/7",
        "it is entry queued, and no entry is waiting",
    ),
    "a queue head that names another entry": (
        "UPDATE queue_heads SET entry_id = 'second' WHERE mailbox_id = 'box'",
        HEAD,
        "it should be entry queued at 0, and is second at 0",
    ),
    "a queue head that is due at another time": (
        "UPDATE queue_heads SET available_at = 9 WHERE mailbox_id = 'box'",
        HEAD,
        "it should be entry queued at 0, and is queued at 9",
    ),
    "a queue head that is not blocked": (
        "UPDATE queue_heads SET blocked = 0 WHERE mailbox_id = 'box'",
        HEAD,
        "blocked is 0, and it should be 1",
    ),
    "a lease that is forgotten": (
        "UPDATE mailboxes SET lease_until = NULL WHERE mailbox_id = 'mine'",
        "mailboxes/mine",
        "its last lease ends at",
    ),
    "a lease that nobody has": (
        "UPDATE mailboxes SET lease_until = 5 WHERE mailbox_id = 'other'",
        "mailboxes/other",
        "its last lease ends at None, and it says at 5",
    ),
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return filled(tmp_path_factory.mktemp("healthy") / "store.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path, healthy: bytes) -> Path:
    path = tmp_path / "store.db"
    path.write_bytes(healthy)
    return path


@pytest.mark.parametrize(("statement", "place", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(store: Path, statement: str, place: str, reason: str) -> None:
    change(store, statement)
    findings = examine(store).findings
    assert any(each.path == place and reason in each.reason for each in findings), findings


def test_a_healthy_store_is_counted(store: Path) -> None:
    report = examine(store)
    assert report.findings == ()
    assert report.records == 22
    assert report.rows == {
        "threads": 2,
        "messages": 2,
        "removed_messages": 1,
        "patches": 1,
        "deltas": 3,
        "runs": 2,
        "mailboxes": 5,
        "entries": 9,
        "documents": 4,
        "queue_heads": 2,
    }


@pytest.mark.parametrize("name", WRITES)
def test_no_write_leaves_anything_to_be_found(tmp_path: Path, name: str) -> None:
    async def write(store: Store) -> None:
        sample = await fill(store)
        async with store.batch() as step:
            WRITES[name](step, sample)

    in_store(tmp_path / "store.db", write)
    assert examine(tmp_path / "store.db").findings == ()


async def test_the_doctor_finds_nothing_while_the_store_is_written(store: Path) -> None:
    def look_often() -> list[Report]:
        return [examine(store) for _ in range(9)]

    async with opened(store) as writing:
        looking = asyncio.ensure_future(asyncio.to_thread(look_often))
        number = 0
        while not looking.done():
            number += 1
            await writing.threads.create(Thread(id=f"n{number}"))
            await writing.mailboxes.send(f"n{number % 7}", number)
            for entry in await writing.mailboxes.claim(limit=2, consumer="w"):
                await writing.mailboxes.ack(entry)
        reports = await looking
    assert [report.findings for report in reports] == [()] * 9
    assert reports[-1].records > reports[0].records >= 21


def test_the_doctor_changes_nothing(store: Path) -> None:
    change(store, "DELETE FROM queue_heads")
    before = store.read_bytes()
    examine(store)
    assert store.read_bytes() == before
    assert [path.name for path in store.parent.iterdir()] == ["store.db"]


def test_a_file_that_is_no_database_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"\x00\xff" * 4000)
    [finding] = examine(tmp_path / "store.db").findings
    assert (finding.path, finding.reason) == ("store.db", "file is not a database")


def test_an_index_that_lacks_a_row_is_a_finding(store: Path) -> None:
    change(
        store,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'queued', 'quelled')"
        " WHERE name = 'entries_queued'",
    )
    assert any("entries_queued" in finding.reason for finding in examine(store).findings)


def test_a_schema_that_is_only_written_differently_is_ours(store: Path) -> None:
    change(
        store,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = sql || ' ' WHERE name = 'runs'",
    )
    assert list(examine(store).findings) == []


def test_a_schema_that_is_not_ours_is_a_finding(store: Path) -> None:
    change(store, "ALTER TABLE runs RENAME COLUMN body TO text")
    [finding] = examine(store).findings
    assert (finding.path, finding.reason) == (
        "store.db",
        "runs in its schema is not as Treadle creates it",
    )


def test_a_damaged_page_is_a_finding_and_the_other_pages_are_read(store: Path) -> None:
    [(page,)] = look(store, "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'")
    data = bytearray(store.read_bytes())
    data[(page - 1) * 8192 : (page - 1) * 8192 + 64] = b"\xaa" * 64
    store.write_bytes(data)
    report = examine(store)
    assert any(finding.path == "store.db" for finding in report.findings)
    assert any(
        finding.path == "messages" and "cannot be read any further" in finding.reason
        for finding in report.findings
    )
    assert report.rows["entries"] == 9


def test_the_doctor_refuses_missing_foreign_and_newer_files(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        examine(tmp_path / "nothing.db")
    assert not (tmp_path / "nothing.db").exists()
    change(tmp_path / "other.db", "CREATE TABLE notes (text)")
    with pytest.raises(InvalidValue, match="another program"):
        examine(tmp_path / "other.db")
    change(store, "INSERT INTO migrations VALUES (99, 'later', 'x', 1)")
    with pytest.raises(SchemaTooNew):
        examine(store)
