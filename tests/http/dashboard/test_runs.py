"""The pages of runs: lists, trees, usage, and the end of one."""

import re

import httpx
import pytest

from tests.http.dashboard.conftest import See
from treadle import Message, RunMeta, RunRecord, RunRequest, Thread, ThreadChangeSet
from treadle import http as treadle_http
from treadle.clock import system_clock
from treadle.core.usage import Usage
from treadle.http._dashboard import _runs
from treadle.http._dashboard._charts import DAY_MS, HEIGHT, days_until, stack
from treadle.store.store import Store


def listed(page: httpx.Response) -> list[str]:
    return re.findall(r'<td[^>]*><a class="id" href="/runs/([^"]+)"', page.text)


async def test_runs_come_in_pages_newest_first(store: Store, admin: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="t"))
    for number in range(60):
        run = RunRecord(run_id=f"r{number:02}", thread_id="t", created_at=1_000 + number)
        await store.runs.upsert(run)
    page = await admin.get("/runs")
    assert listed(page) == [f"r{number:02}" for number in range(59, 9, -1)]
    link = re.search(r'href="(/runs\?after=[^"]+)" rel="next"', page.text)
    assert link is not None
    assert listed(await admin.get(link[1])) == [f"r{number:02}" for number in range(9, -1, -1)]


async def test_runs_are_found_by_what_the_filters_say(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    known = (
        RunRecord(run_id="a", thread_id="hers", agent_id="desk", status="waiting"),
        RunRecord(run_id="b", thread_id="hers", parent_run_id="a", origin="subagent"),
        RunRecord(run_id="c", thread_id="his", agent_id="desk", status="done"),
    )
    for run in known:
        await store.runs.upsert(run)
    assert sorted(listed(await admin.get("/runs?resource_id=alice&status="))) == ["a", "b"]
    assert sorted(listed(await admin.get("/runs?agent_id=desk"))) == ["a", "c"]
    assert listed(await admin.get("/runs?status=waiting")) == ["a"]
    assert listed(await admin.get("/runs?parent_run_id=a")) == ["b"]
    assert listed(await admin.get("/runs?origin=subagent")) == ["b"]
    assert listed(await admin.get("/runs?thread_id=his")) == ["c"]
    planner = RunRecord(run_id="p", thread_id="his", status="waiting", metadata={"asks": False})
    await store.runs.upsert(planner)
    waiting = await admin.get("/runs?status=waiting")
    assert listed(waiting) == ["p", "a"]
    assert waiting.text.count('<div class="under">for other work</div>') == 1
    assert listed(await admin.get("/runs?waits_for=answer")) == ["a"]
    assert listed(await admin.get("/runs?waits_for=work")) == ["p"]
    nothing = await admin.get("/runs?agent_id=nobody")
    assert listed(nothing) == []
    assert ">Clear</a>" in nothing.text


async def test_a_tree_has_each_run_once_whatever_its_parents(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t"))
    parents = {"root": None, "left": "root", "right": "root", "leaf": "left", "x": "y", "y": "x"}
    for at, (run_id, parent) in enumerate(parents.items()):
        run = RunRecord(run_id=run_id, thread_id="t", parent_run_id=parent, created_at=at + 1)
        await store.runs.upsert(run)

    def tree(page: httpx.Response) -> list[tuple[str, str]]:
        return re.findall(r'class="level-(\d+)">.*?title="([^"]+)"', page.text)

    whole = [("0", "root"), ("1", "left"), ("2", "leaf"), ("1", "right")]
    assert tree(await admin.get("/runs/root")) == whole
    assert tree(await admin.get("/runs/leaf")) == whole
    assert sorted(name for _, name in tree(await admin.get("/runs/x"))) == ["x", "y"]


async def test_a_tree_that_is_too_large_says_that_there_is_more(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.runs.upsert(RunRecord(run_id="root", thread_id="t"))
    for number in range(30):
        run = RunRecord(run_id=f"c{number}", thread_id="t", parent_run_id="root")
        await store.runs.upsert(run)
    chain = "root"
    for number in range(40):
        run = RunRecord(run_id=f"d{number}", thread_id="t", parent_run_id=chain, created_at=1)
        await store.runs.upsert(run)
        chain = run.run_id
    page = await admin.get("/runs/root")
    assert 'href="/runs?parent_run_id=root"' in page.text
    assert len(listed(page)) < 100
    assert (await admin.get("/runs/d39")).status_code == 200


async def test_an_owner_sees_no_run_of_anothers_in_a_tree(
    store: Store, alice: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    await store.runs.upsert(RunRecord(run_id="above", thread_id="his", agent_id="secret"))
    await store.runs.upsert(RunRecord(run_id="run", thread_id="hers", parent_run_id="above"))
    await store.runs.upsert(RunRecord(run_id="below", thread_id="his", parent_run_id="run"))
    await store.runs.upsert(RunRecord(run_id="child", thread_id="hers", parent_run_id="run"))
    page = await alice.get("/runs/run")
    assert listed(page) == ["child"]
    assert "secret" not in page.text


async def test_a_run_shows_its_messages_and_its_end(store: Store, admin: httpx.AsyncClient) -> None:
    await store.threads.create(Thread(id="t"))
    meta = RunMeta(
        agent_id="desk",
        status="done",
        termination_code="error",
        termination_detail="the stock service <did> not answer",
        metadata={"large": 2**63 - 1},
        input_tokens=2**63 - 1,
    )
    said = Message.assistant("hello from the run")
    of_run = ThreadChangeSet(run_id="r", run_meta=meta, messages=[said])
    await store.threads.append("t", of_run)
    await store.threads.append("t", Message.user("something else"))
    page = (await admin.get("/runs/r")).text
    assert "the stock service &lt;did&gt; not answer" in page
    assert "9,223,372,036,854,775,807" in page
    assert "9223372036854775807" in page  # in the metadata
    assert "something else" not in page
    assert (await admin.get("/runs/r/metadata")).json() == {"large": 2**63 - 1}
    await store.threads.delete("t")
    left = await admin.get("/runs/r")  # it outlives its thread
    assert left.status_code == 200
    assert "the stock service &lt;did&gt; not answer" in left.text
    assert "hello from the run" not in left.text


async def test_a_run_is_cancelled_with_its_entry_and_only_once(
    store: Store, admin: httpx.AsyncClient, see: See
) -> None:
    await store.threads.create(Thread(id="t"))
    sent = await store.mailboxes.send("t", "work")
    meta = RunMeta(agent_id="desk", source_mailbox_entry_id=sent.entry.entry_id)
    await store.threads.append("t", ThreadChangeSet(run_id="r", run_meta=meta))
    viewer = await see(treadle_http.viewer("looks"))
    assert "/runs/r/cancel" not in (await viewer.get("/runs/r")).text
    assert (await viewer.post("/runs/r/cancel", data={})).status_code == 403
    assert "/runs/r/cancel" in (await admin.get("/runs/r")).text

    answer = await admin.post("/runs/r/cancel", data={})
    assert answer.status_code == 303
    assert "The run is cancelled." in (await admin.get(answer.headers["location"])).text
    run = await store.runs.load("r")
    assert run is not None
    assert (run.status, run.termination_code) == ("done", "cancelled")
    again = await admin.post("/runs/r/cancel", data={})
    assert "Nothing was cancelled" in (await admin.get(again.headers["location"])).text
    assert "/runs/r/cancel" not in (await admin.get("/runs/r")).text


async def test_usage_is_summed_by_day_agent_owner_and_thread(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    now = system_clock()
    for days, tokens in ((0, 5), (1, 2**62), (1, 2**62), (45, 777)):
        run = RunRecord(
            run_id=f"r{days}-{tokens}-{await count(store)}",
            thread_id="t",
            agent_id="desk",
            created_at=now - days * DAY_MS,
            input_tokens=tokens,
        )
        await store.runs.upsert(run)
    page = (await admin.get("/usage")).text
    assert page.count('<rect class="input-bar"') == 30
    assert "9,223,372,036,854,775,808" in page  # more than 64 bits
    assert "777" not in page
    assert "777" in (await admin.get("/usage?days=60")).text
    for by, key in (("agent", "desk"), ("owner", "alice"), ("thread", "t")):
        assert f">{key}</a>" in (await admin.get(f"/usage?by={by}")).text
    for wrong in ("days=0", "days=367", "days=-1", "days=x", "by=token"):
        assert (await admin.get(f"/usage?{wrong}")).status_code == 400


async def test_usage_says_that_only_the_newest_runs_were_summed(
    store: Store, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_runs, "_MOST_RUNS", 2)
    for number in range(3):
        said = "Only the newest 2 runs were summed"
        assert (said in (await admin.get("/usage?by=agent")).text) == (number >= 2)
        await store.runs.upsert(RunRecord(run_id=f"r{number}", thread_id="t", agent_id="desk"))
    assert '<td class="number">2</td>' in (await admin.get("/usage?by=agent")).text


async def count(store: Store) -> int:
    return (await store.runs.list()).total


@pytest.mark.parametrize("most", [0, 1, 7, 2**64, 2**80])
def test_the_highest_column_fills_the_chart(most: int) -> None:
    days = days_until(20 * DAY_MS, 3)
    assert days == ["1970-01-19", "1970-01-20", "1970-01-21"]
    used = [Usage(key=days[1], input_tokens=most // 2, output_tokens=most - most // 2)]
    chart = stack(used, days)
    assert chart.most == most
    heights = [round(bar.input_height + bar.output_height, 1) for bar in chart.items]
    assert heights == [0, HEIGHT if most else 0, 0]
    assert [bar.usage.key for bar in chart.items] == days


async def test_a_run_that_has_not_begun_is_shown_by_its_entry(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for number in (1, 2):
        wanted = RunRequest(agent_id="helper", thread_id="t", run_id=f"r{number}")
        await store.runs.request(wanted, Message.user("hi"))
    await store.mailboxes.send("t", 1)
    await store.runs.upsert(RunRecord(run_id="r2", thread_id="t"))
    tab = (await admin.get("/threads/t/runs")).text
    assert re.findall(r'no worker has begun <a[^>]*href="/runs/([^"]+)"', tab) == ["r1"]
    page = await admin.get("/runs/r1")
    assert (page.status_code, page.headers["location"]) == (303, "/entries/r1")
    assert (await admin.get("/runs/nothing")).status_code == 404
