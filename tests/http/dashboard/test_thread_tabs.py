"""The tabs of a thread beside its conversation."""

from typing import Any

import httpx

from tests.http.dashboard.conftest import See
from treadle import Message, RunMeta, Thread, ThreadChangeSet
from treadle import http as treadle_http
from treadle.patches import Increment, Set, track
from treadle.store.store import Store


async def create(store: Store, state: Any = None) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice", state=state))


async def test_the_state_is_shown_as_it_is_and_as_it_was(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await create(store, {"count": 41, "name": "first"})
    changes = ThreadChangeSet(run_id="r", patches=[track(Increment(path=("count",), amount=1))])
    await store.threads.append("t", changes)
    await store.threads.append("t", changes)
    now = (await admin.get("/threads/t/state")).text
    assert '<pre class="value">43</pre>' in now
    assert 'href="/threads/t/state?version=1"' in now
    assert 'href="/runs/r"' in now
    before = (await admin.get("/threads/t/state?version=1")).text
    assert "at version 1" in before
    assert '<pre class="value">42</pre>' in before
    await store.threads.append("t", ThreadChangeSet(snapshot={"count": 2**63 - 1}))
    assert "9223372036854775807" in (await admin.get("/threads/t/state")).text
    for version in (1, 9):
        unknown = await admin.get(f"/threads/t/state?version={version}")
        assert "The state at this version is not known" in unknown.text


async def test_a_state_that_no_patch_fits_is_shown_without_patches(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await create(store, {"name": "first"})
    broken = track(Increment(path=("name",), amount=1))
    await store.threads.append("t", ThreadChangeSet(patches=[broken]))
    page = await admin.get("/threads/t/state")
    assert page.status_code == 200
    assert "The patches cannot be applied" in page.text
    assert "first" in page.text


async def test_the_runs_of_the_thread_come_in_pages(store: Store, admin: httpx.AsyncClient) -> None:
    await create(store)
    await store.threads.create(Thread(id="other"))
    for number in range(30):
        meta = RunMeta(agent_id=f"agent-{number}", status="done", input_tokens=12_345)
        await store.threads.append("t", ThreadChangeSet(run_id=f"r{number:02}", run_meta=meta))
    foreign = ThreadChangeSet(run_id="foreign", run_meta=RunMeta(agent_id="foreign"))
    await store.threads.append("other", foreign)
    page = (await admin.get("/threads/t/runs")).text
    assert page.count('href="/runs/r') == 25
    assert "12,345 + 0" in page
    assert "foreign" not in page
    link = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    assert (await admin.get(link)).text.count('href="/runs/r') == 5


async def test_the_mailbox_is_shown_with_who_holds_it_and_why_something_failed(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await create(store)
    assert "The thread has no mailbox" in (await admin.get("/threads/t/mailbox")).text
    secret = {"role": "system", "content": "the secret rule", "visibility": "internal"}
    await store.mailboxes.send("t", {"messages": [secret], "text": "hello"})
    [claimed] = await store.mailboxes.claim(consumer="worker-7", lease_ms=60_000)
    await store.mailboxes.send("t", {"text": "again"})
    page = (await admin.get("/threads/t/mailbox")).text
    assert "worker-7" in page
    assert "the secret rule" in page
    assert claimed.claim_token is not None
    assert claimed.claim_token not in page
    assert f'href="/entries/{claimed.entry_id}"' in page
    assert "the secret rule" not in (await alice.get("/threads/t/mailbox")).text
    await store.mailboxes.dead_letter(claimed, error="card refused")
    assert "card refused" in (await alice.get("/threads/t/mailbox")).text


async def test_deltas_come_newest_first_without_what_is_internal(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await create(store)
    secret = ThreadChangeSet(messages=[Message.internal_system("the secret rule")], actions=["act"])
    await store.threads.append("t", secret)
    for number in range(30):
        await store.threads.append("t", Message.user(f"text {number}"))
    await store.threads.truncate("t", keep=29)
    page = (await admin.get("/threads/t/deltas")).text
    assert page.index("cut to 29 messages") < page.index("text 29") < page.index("text 6")
    assert "text 5<" not in page
    earlier = "/threads/t/deltas?before=8"
    assert f'href="{earlier}"' in page
    assert "the secret rule" in (await admin.get(earlier)).text
    assert "1 actions" in (await admin.get(earlier)).text
    hidden = (await alice.get(earlier)).text
    assert "text 5<" in hidden
    assert "the secret rule" not in hidden
    assert "1 actions" not in hidden


async def test_deltas_that_are_not_known_are_not_guessed(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await create(store)
    for number in range(9):
        await store.threads.append("t", Message.user(f"text {number}"))
    head = await store.threads.load("t")
    assert head is not None
    await store.threads.save(head.thread)
    assert "No deltas are known" in (await admin.get("/threads/t/deltas")).text
    await store.threads.append("t", Message.user("after the save"))
    assert "after the save" in (await admin.get("/threads/t/deltas")).text


async def test_the_thread_is_there_as_json_for_who_needs_all_of_it(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await create(store, {"s": "a state"})
    await store.threads.append("t", Message.user("x" * 5_000))
    await store.threads.append("t", Message.internal_system("the secret rule"))
    await store.threads.append("t", ThreadChangeSet(patches=[track(Set(path=("n",), value=1))]))
    assert "store.threads.load(&#34;t&#34;)" in (await admin.get("/threads/t/raw")).text
    whole = await admin.get("/threads/t/json")
    assert whole.headers["content-type"].startswith("text/plain")
    assert all(text in whole.text for text in ("x" * 5_000, "the secret rule", "a state"))
    assert "the secret rule" not in (await alice.get("/threads/t/json")).text


async def test_the_hook_sees_everything_that_the_tabs_show(store: Store, see: See) -> None:
    await create(store, {"s": "secret"})
    patch = track(Set(path=("s",), value="secret"))
    meta = RunMeta(agent_id="a", status="waiting")
    changes = ThreadChangeSet(
        run_id="r", run_meta=meta, messages=[Message.user("secret")], patches=[patch]
    )
    await store.threads.append("t", changes)
    await store.threads.append("t", ThreadChangeSet(snapshot={"s": "secret"}))
    await store.mailboxes.send("t", {"text": "secret"})
    [claimed] = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    await store.mailboxes.nack(claimed, error="secret")
    await store.mailboxes.pause("t", reason="secret")
    browser = await see(treadle_http.admin("ops"), redact=lambda kind, value: f"[{kind}]")
    for tab in ("", "/state", "/runs", "/mailbox", "/deltas", "/raw", "/json"):
        page = await browser.get(f"/threads/t{tab}")
        assert page.status_code == 200
        assert "secret" not in page.text, tab
