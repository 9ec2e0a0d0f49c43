"""What all pages have in common: escaping, redaction, errors, files, search, the overview."""

import hashlib
from importlib.resources import files
from typing import Any

import httpx
import pytest

import treadle
from tests.http.clients_in_process import client
from tests.http.dashboard.conftest import See
from treadle import Message, RunMeta, Thread, ThreadChangeSet, ThreadMetadata
from treadle import http as treadle_http
from treadle.http._dashboard._formats import absolute, relative, shown, size, span
from treadle.store.store import Store
from treadle.testing.clock import ManualClock

HOSTILE = "<script>alert(1)</script>\x1b]0;x\x07 \u202egnp.exe \u200b '\"&"
VENDORED = {
    # dist/htmx.min.js of htmx.org 4.0.1, as npm has it
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
}


@pytest.mark.parametrize("name", VENDORED)
def test_a_file_of_others_is_theirs_to_the_byte(name: str) -> None:
    data = (files("treadle.http._dashboard") / "static" / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == VENDORED[name]


async def test_hostile_text_is_shown_harmlessly(store: Store, admin: httpx.AsyncClient) -> None:
    titled = ThreadMetadata(extra={"title": HOSTILE})
    await store.threads.create(Thread(id="t", resource_id=HOSTILE, metadata=titled))
    await store.threads.append("t", ThreadChangeSet(messages=[Message.user(HOSTILE)]))
    for page in ("/", "/threads", "/threads/t", "/threads?resource_id=" + "%1b%3cscript%3e"):
        text = (await admin.get(page)).text
        assert "<script>" not in text
        assert not {*text} & {"\x1b", "\x07", "\u202e", "\u200b"}
    text = (await admin.get("/threads/t")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b]0;x\\x07 \\u202egnp.exe \\u200b" in text


async def test_the_hook_decides_what_is_shown(store: Store, see: See) -> None:
    titled = ThreadMetadata(extra={"title": "secret"})
    await store.threads.create(Thread(id="t", metadata=titled))
    await store.threads.append("t", Message.user([{"type": "text", "text": "secret"}]))
    kinds: set[str] = set()

    def redact(kind: str, value: Any) -> Any:
        kinds.add(kind)
        return "[removed]"

    browser = await see(treadle_http.admin("ops"), redact=redact)
    for page in ("/", "/threads", "/threads/t", "/threads/t/messages/0"):
        text = (await browser.get(page)).text
        assert "secret" not in text
        assert "[removed]" in text
    assert kinds == {"title", "message"}


async def test_a_redaction_that_fails_shows_nothing(store: Store, see: See) -> None:
    def redact(kind: str, value: Any) -> Any:
        raise RuntimeError("no rule for it")

    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("secret"))
    browser = await see(treadle_http.admin("ops"), redact=redact)
    answer = await browser.get("/threads/t")
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/threads/nothing", 404),
        ("/threads/a%2Fb", 400),
        ("/threads?after=x", 400),
        ("/threads?unknown=1", 400),
        ("/threads/%ff", 400),
        ("/static/nothing.js", 404),
        ("/static/..%2Fstyle.css", 404),
    ],
)
async def test_an_error_is_a_page(path: str, status: int, admin: httpx.AsyncClient) -> None:
    answer = await admin.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text
    assert 'href="/"' in answer.text
    assert (await admin.head(path)).content == b""


async def test_an_error_leaves_everybody_their_sections(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    for browser, sees_all in ((admin, True), (alice, False)):
        page = (await browser.get("/threads/nothing")).text
        assert ('href="/entries"' in page) is sees_all
        assert "Who you are here" in page


async def test_a_host_that_is_not_known_gets_no_page(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/", headers={"host": "evil.example"})).status_code == 403


async def test_a_file_is_kept_by_browsers_until_it_changes(admin: httpx.AsyncClient) -> None:
    page = (await admin.get("/")).text
    link = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert "immutable" in (await admin.get(link)).headers["cache-control"]
    assert (await admin.get("/static/style.css?v=0")).headers["cache-control"] == "no-cache"


async def test_an_empty_field_of_a_filter_says_nothing(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    assert "/threads/t" in (await admin.get("/threads?resource_id=&parent_thread_id=")).text
    assert "No thread matches" in (await admin.get("/threads?resource_id=bob")).text


async def test_the_theme_is_that_of_the_cookie(admin: httpx.AsyncClient) -> None:
    for theme, is_set in (("dark", True), ("light", True), ('"><script>', False)):
        page = await admin.get("/", headers={"cookie": f"treadle-theme={theme}"})
        assert (f'data-theme="{theme}"' in page.text) == is_set


async def test_an_id_leads_to_its_page(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await store.threads.create(Thread(id="anna", resource_id="alice"))
    await store.threads.create(Thread(id="ben", resource_id="bob"))
    sent = await store.mailboxes.send("anna", 1)
    foreign = await store.mailboxes.send("elsewhere", 1)
    found = await admin.get("/search", params={"q": " anna "})
    assert (found.status_code, found.headers["location"]) == (303, "/threads/anna")
    for browser in (admin, alice):
        entry = await browser.get("/search", params={"q": sent.entry.entry_id})
        assert entry.headers["location"] == f"/entries/{sent.entry.entry_id}"
    for hidden in ("ben", foreign.entry.entry_id, "elsewhere"):
        assert (await admin.get("/search", params={"q": hidden})).status_code == 303
        assert "Nothing has the id" in (await alice.get("/search", params={"q": hidden})).text
    of_alice = await admin.get("/search", params={"q": "alice"})
    assert of_alice.headers["location"] == "/threads?resource_id=alice"
    assert "Nothing has the id" in (await alice.get("/search", params={"q": "alice"})).text
    for nonsense in ("nothing", "a/b", "\x00", "x" * 300):
        page = await admin.get("/search", params={"q": nonsense})
        assert "Nothing has the id" in page.text


async def test_the_overview_says_what_waits_and_what_is_stuck(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    for owner in ("alice", "bob"):
        await store.threads.create(Thread(id=f"of-{owner}", resource_id=owner))
        meta = RunMeta(agent_id=f"agent-{owner}", status="waiting")
        changes = ThreadChangeSet(run_id=f"run-{owner}", run_meta=meta)
        await store.threads.append(f"of-{owner}", changes)
    await store.mailboxes.send("of-bob", 1)
    [claimed] = await store.mailboxes.claim(consumer="w", lease_ms=60_000)
    await store.mailboxes.dead_letter(claimed, error="card refused")
    seen = (await admin.get("/")).text
    assert all(text in seen for text in ("agent-alice", "agent-bob", "card refused"))
    assert "<strong>1</strong> dead" in seen
    seen = (await alice.get("/")).text
    assert "agent-alice" in seen
    assert not any(text in seen for text in ("agent-bob", "card refused", "of-bob"))


async def test_the_overview_says_when_no_worker_gets_to_what_is_due() -> None:
    clock = ManualClock(1_800_000_000_000)
    async with treadle.open_store("memory:", clock=clock) as store:
        everyone = treadle_http.everyone(treadle_http.admin("ops"))
        async with client(treadle_http.dashboard(store, authenticate=everyone)) as browser:
            await store.mailboxes.send("a", 1)
            assert "Nothing has failed for good" in (await browser.get("/")).text
            await store.mailboxes.claim(consumer="worker-7", lease_ms=30_000)
            await store.mailboxes.send("b", 1)
            await store.mailboxes.pause("b")
            clock.now += 61_000
            paused = (await browser.get("/")).text
            await store.mailboxes.resume("b")
            seen = (await browser.get("/")).text
    assert "nothing keeps it from being claimed" not in paused
    assert "nothing keeps it from being claimed" in seen
    assert "worker-7 may have died: 1 of its leases has expired" in seen
    assert "Nothing has failed for good" not in seen


def test_times_are_written_for_people() -> None:
    now = 1_800_000_000_000
    assert relative(now - 500, now) == "now"
    assert relative(now - 61_000, now) == "1 min ago"
    assert relative(now + 7_200_000, now) == "in 2 h"
    assert relative(now - 90 * 86_400_000, now) == "2026-10-17"
    assert relative(2**63 - 1, now) == "never"
    assert absolute(now + 7) == "2027-01-15 08:00:00.007 UTC"
    assert absolute(2**63 - 1) == str(2**63 - 1)
    assert (span(999), span(3_600_000), span(10**12)) == ("0 s", "1 h", "11,574 d")
    assert (size(999), size(1_500), size(10**13)) == ("999 B", "1 kB", "10,000 GB")


def test_integers_keep_their_digits_and_long_values_are_cut() -> None:
    assert shown({"a": [2**63 - 1, 1.5, "ä"]}).text.split()[3] == "9223372036854775807,"
    cut = shown("x" * 10_000_000)
    assert (len(cut.text), cut.is_cut, cut.length) == (2_000, True, 10_000_000)
