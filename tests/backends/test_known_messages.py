"""A message is skipped exactly if its thread has the id at that moment."""

import msgspec
import pytest

from tests.marks import every_backend
from treadle import Message, NotFound, Store, Thread, ThreadChangeSet


def with_id(*ids: str) -> ThreadChangeSet:
    messages = (msgspec.structs.replace(Message.user(each), id=each) for each in ids)
    return ThreadChangeSet(messages=tuple(messages))


@every_backend
async def test_ids_are_forgotten_with_what_took_them(store: Store) -> None:
    await store.threads.create(Thread(id="t"))
    assert (await store.threads.append("t", with_id("a", "b"))).skipped == ()
    for _ in range(2):
        with pytest.raises(NotFound):
            async with store.batch() as step:
                step.threads.append("t", with_id("c"))
                step.threads.append("t", with_id("c", "d"))
                step.threads.append("missing", with_id("c"))
    async with store.batch() as step:
        first = step.threads.append("t", with_id("a", "c"))
        second = step.threads.append("t", with_id("b", "c", "d"))
    assert (first.result.skipped, second.result.skipped) == (("a",), ("b", "c"))
    await store.threads.save(Thread(id="t", messages=with_id("d").messages))
    assert (await store.threads.append("t", with_id("a", "d"))).skipped == ("d",)
    await store.threads.delete("t")
    await store.threads.create(Thread(id="t"))
    assert (await store.threads.append("t", with_id("a", "d"))).skipped == ()


@every_backend
async def test_ids_of_many_threads_are_kept_apart(store: Store) -> None:
    async with store.batch() as step:
        for number in range(40):
            step.threads.create(Thread(id=f"t{number}"))
    for skipped in ((), ("a",)):
        async with store.batch() as step:
            writes = [step.threads.append(f"t{number}", with_id("a")) for number in range(40)]
        assert [write.result.skipped for write in writes] == [skipped] * 40
