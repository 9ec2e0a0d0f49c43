"""The list of threads: order, filters, pages."""

import re

import httpx

from treadle import RunRecord, RunStatus, Thread
from treadle.store.store import Store


def listed(page: httpx.Response) -> list[str]:
    return re.findall(r'class="name" href="/threads/([^"]+)"', page.text)


async def test_threads_come_in_pages_newest_first(store: Store, admin: httpx.AsyncClient) -> None:
    for number in range(60):
        await store.threads.create(Thread(id=f"t{number:02}"))
    page = await admin.get("/threads")
    found = listed(page)
    assert len(found) == 50
    link = re.search(r'href="(/threads\?after=[^"]+)" rel="next"', page.text)
    assert link is not None
    rest = await admin.get(link[1])
    assert sorted(found + listed(rest)) == [f"t{number:02}" for number in range(60)]
    assert 'href="/threads"' in rest.text.partition('class="pager"')[2]


async def test_threads_are_found_by_owner_parent_and_the_beginning_of_their_ids(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="a", resource_id="alice"))
    await store.threads.create(Thread(id="a-1", resource_id="alice", parent_thread_id="a"))
    await store.threads.create(Thread(id="a-2", resource_id="bob"))
    await store.threads.create(Thread(id="b", resource_id="bob"))
    assert sorted(listed(await admin.get("/threads?resource_id=alice"))) == ["a", "a-1"]
    assert listed(await admin.get("/threads?parent_thread_id=a")) == ["a-1"]
    assert "a-1" not in listed(await admin.get("/threads?roots=true"))
    assert listed(await admin.get("/threads?prefix=a")) == ["a", "a-1", "a-2"]
    assert listed(await admin.get("/threads?prefix=a-&resource_id=bob")) == ["a-2"]
    assert listed(await admin.get("/threads?prefix=a&roots=true")) == ["a", "a-2"]
    filtered = await admin.get("/threads?prefix=zzz")
    assert listed(filtered) == []
    assert ">Clear</a>" in filtered.text


async def test_the_ids_that_begin_alike_come_in_pages(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for number in range(120):
        await store.threads.create(Thread(id=f"x{number:03}"))
    await store.threads.create(Thread(id="y"))
    found: list[str] = []
    url = "/threads?prefix=x"
    while url:
        page = await admin.get(url)
        found += listed(page)
        link = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = link[1].replace("&amp;", "&") if link else ""
    assert found == [f"x{number:03}" for number in range(120)]


async def test_a_thread_that_waits_or_is_worked_on_says_so(
    store: Store, admin: httpx.AsyncClient
) -> None:
    runs: dict[str, list[RunStatus]] = {
        "asks": ["waiting", "running"],
        "works": ["running"],
        "rests": ["done"],
    }
    for name, statuses in runs.items():
        await store.threads.create(Thread(id=name))
        for number, status in enumerate(statuses):
            run = RunRecord(run_id=f"{name}-{number}", thread_id=name, status=status)
            await store.runs.upsert(run)
    for page in ("/threads", "/"):
        text = (await admin.get(page)).text
        rows = {
            name: text.rpartition(f'class="name" href="/threads/{name}"')[2].partition("</tr>")[0]
            for name in runs
        }
        assert '<span class="badge badge-waiting">' in rows["asks"]
        assert '<span class="badge badge-running">' in rows["works"]
        assert "badge" not in rows["rests"]


async def test_a_store_without_threads_says_how_to_fill_it(admin: httpx.AsyncClient) -> None:
    for page in ("/", "/threads"):
        assert "threads.ensure(Thread(" in (await admin.get(page)).text


async def test_an_owner_leads_to_all_their_threads(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    for path in ("/threads", "/threads/t"):
        assert 'href="/threads?resource_id=alice"' in (await admin.get(path)).text
        assert 'href="/threads?resource_id=alice"' not in (await alice.get(path)).text


async def test_an_owner_sees_their_threads_only(store: Store, alice: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    await store.threads.create(Thread(id="nobodys"))
    for page in ("/threads", "/threads?prefix=h", "/threads?prefix=his"):
        assert set(listed(await alice.get(page))) <= {"hers"}
    assert listed(await alice.get("/threads")) == ["hers"]
    assert "Clear" not in (await alice.get("/threads")).text
    assert (await alice.get("/threads?resource_id=bob")).status_code == 403
