"""The file of live values: created late, private, erased, replaced, damaged, and only read."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from stat import S_IMODE

import msgspec
import pytest

import treadle
from treadle import Store, StoreClosed, StoreUnavailable, Thread
from treadle.backends import _live_file
from treadle.backends._live_file import LiveFile
from treadle.backends._ring import Ring
from treadle.backends.files.doctor import examine, move_aside
from treadle.backends.live import LiveValues, packets_of, values_in
from treadle.errors import ReadOnlyStore
from treadle.testing._harness.listening import Listener, listening

SECRET = "a secret"
KINDS = {"files": ("store", "store/_treadle/live"), "sqlite": ("store.db", "store.db-live")}
each_kind = pytest.mark.parametrize(("name", "live"), KINDS.values(), ids=KINDS)


def url(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / name}" if name.endswith(".db") else str(folder / name)


@asynccontextmanager
async def following(store: Store) -> AsyncGenerator[Listener[object]]:
    async with store.live.follow("t") as values, listening(values) as follower:
        yield follower


async def until_shown(publisher: Store, follower: Listener[object], value: object) -> None:
    """Publish a value again and again until it comes."""

    async def publish() -> None:
        while True:
            await publisher.live.publish("t", value)
            await asyncio.sleep(0.02)

    publishing = asyncio.create_task(publish())
    try:
        await follower.until(lambda items: value in items)
    finally:
        publishing.cancel()


@each_kind
async def test_the_file_is_private_and_created_when_it_is_needed(
    tmp_path: Path, name: str, live: str
) -> None:
    async with treadle.open_store(url(tmp_path, name)) as store:
        await store.threads.create(Thread(id="t"))
        assert not (tmp_path / live).exists()
        await store.live.publish("t", 1)
        assert S_IMODE((tmp_path / live).stat().st_mode) == 0o600


@each_kind
async def test_an_erasure_removes_live_values(tmp_path: Path, name: str, live: str) -> None:
    async with treadle.open_store(url(tmp_path, name)) as store:
        await store.live.publish("t", SECRET)
    assert SECRET.encode() in (tmp_path / live).read_bytes()
    async with (
        treadle.open_store(url(tmp_path, name)) as store,
        treadle.open_store(url(tmp_path, name)) as other,
        following(store) as follower,
    ):
        await store.erase("anna")
        assert SECRET.encode() not in (tmp_path / live).read_bytes()
        await until_shown(other, follower, "after")
        assert follower.items[0] == "after"


@each_kind
async def test_values_come_again_after_the_file_was_replaced(
    tmp_path: Path, name: str, live: str
) -> None:
    async with (
        treadle.open_store(url(tmp_path, name)) as store,
        treadle.open_store(url(tmp_path, name)) as other,
        following(store) as follower,
    ):
        await until_shown(other, follower, 1)
        (tmp_path / live).unlink()
        await until_shown(other, follower, 2)


@each_kind
@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, os.urandom(2**20)], ids=len)
async def test_a_damaged_file_loses_values_and_nothing_else(
    tmp_path: Path, name: str, live: str, damage: bytes
) -> None:
    async with (
        treadle.open_store(url(tmp_path, name)) as store,
        treadle.open_store(url(tmp_path, name)) as other,
        following(store) as follower,
    ):
        await until_shown(other, follower, 1)
        (tmp_path / live).write_bytes(damage)
        await until_shown(other, follower, 2)
        await until_shown(store, follower, 3)
        assert set(follower.items) == {1, 2, 3}


@pytest.mark.parametrize(
    "packet", ["", "null", "[]", '["x",[["t"]]]', '["x",[["t",{]]]', "[" * 10_000, "\ud800"]
)
def test_a_packet_of_somebody_else_has_no_values(packet: str) -> None:
    assert tuple(values_in(packet.encode("utf-8", "surrogatepass"), "me")) == ()


def test_a_packet_has_no_values_for_its_sender() -> None:
    [packet] = packets_of([("t", msgspec.Raw(b"1"))], "me", 1_000)
    assert values_in(packet, "me") == ()
    assert [(thread, bytes(value)) for thread, value in values_in(packet, "you")] == [("t", b"1")]


@each_kind
async def test_a_store_that_is_only_read_follows_and_does_not_publish(
    tmp_path: Path, name: str, live: str
) -> None:
    async with (
        treadle.open_store(url(tmp_path, name)) as store,
        treadle.open_store(url(tmp_path, name), read_only=True) as reader,
        following(reader) as follower,
    ):
        assert not (tmp_path / live).exists()
        with pytest.raises(ReadOnlyStore):
            await reader.live.publish("t", 1)
        await until_shown(store, follower, 2)


STRANGE: dict[str, Callable[[Path, Path], object]] = {
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a folder": lambda path, outside: path.mkdir(),
    "a link": lambda path, outside: path.symlink_to(outside),
    "a hard link": lambda path, outside: path.hardlink_to(outside),
}


@pytest.mark.skipif(os.name != "posix", reason="pipes and links")
@each_kind
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
async def test_a_file_that_is_no_plain_file_is_named(
    tmp_path: Path, name: str, live: str, make: Callable[[Path, Path], object]
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    async with treadle.open_store(url(tmp_path, name)) as store:
        make(tmp_path / live, outside)
        with pytest.raises(StoreUnavailable, match="live"):
            await store.live.publish("t", SECRET)
        with pytest.raises(StoreUnavailable, match="live"):
            await store.live.follow("t").__aenter__()
        await store.threads.create(Thread(id="t"))
    assert outside.read_bytes() == b"mine"


@pytest.mark.skipif(os.name != "posix", reason="pipes and links")
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
async def test_the_doctor_names_a_file_that_is_no_plain_file(
    tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    async with treadle.open_store(tmp_path / "store") as store:
        await store.threads.create(Thread(id="t"))
    make(tmp_path / "store" / "_treadle" / "live", outside)
    report = examine(tmp_path / "store")
    assert [each.path for each in report.findings] == [os.path.join("_treadle", "live")]
    move_aside(tmp_path / "store", report)
    async with treadle.open_store(tmp_path / "store") as store:
        await store.live.publish("t", 1)
    assert outside.read_bytes() == b"mine"


async def test_a_value_that_may_have_been_written_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, written = Ring.append, list[bytes]()

    def append_and_fail_once(ring: Ring, payload: bytes) -> None:
        append(ring, payload)
        written.append(payload)
        if len(written) == 1:
            raise OSError("no space left")

    monkeypatch.setattr(_live_file, "_RETRY_SECONDS", 0.01)
    async with (
        treadle.open_store(url(tmp_path, "store.db")) as store,
        treadle.open_store(url(tmp_path, "store.db")) as other,
        following(store) as follower,
    ):
        monkeypatch.setattr(Ring, "append", append_and_fail_once)
        await other.live.publish("t", "once")
        await follower.until(lambda items: "once" in items)
        await until_shown(other, follower, "later")
        assert follower.items.count("once") == 1


def test_what_was_published_is_written_when_the_file_is_closed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = LiveFile._work

    def begin_late(file: LiveFile) -> None:
        while not file._is_closing:
            time.sleep(0.001)
        work(file)

    monkeypatch.setattr(LiveFile, "_work", begin_late)
    file = LiveFile(str(tmp_path / "live"), lambda: 0o600)
    file.publish(("t", msgspec.Raw(b'"a secret"')))
    file.close()
    assert SECRET.encode() in (tmp_path / "live").read_bytes()


async def test_a_follower_that_is_closed_has_its_last_value() -> None:
    values = LiveValues()
    follower = values.follow("t")
    values.give([("t", msgspec.Raw(b"1"))])
    values.close()
    assert await follower.next() == b"1"
    with pytest.raises(StoreClosed):
        await follower.next()


async def test_a_burst_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live_file, "_LOOK_SECONDS", (0.05, 0.05))
    async with (
        treadle.open_store(url(tmp_path, "store.db")) as store,
        treadle.open_store(url(tmp_path, "store.db")) as other,
        following(store) as follower,
    ):
        for number in range(2_000):
            await other.live.publish("t", [number, "x" * 2_000])
        await until_shown(other, follower, "last")
    assert (tmp_path / "store.db-live").stat().st_size <= _live_file.CAPACITY + 1024
