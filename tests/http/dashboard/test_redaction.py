"""The hook that redacts: nothing that users and agents wrote gets around it."""

from typing import Any

import msgspec
import pytest

from tests.http.dashboard.conftest import See
from tests.http.dashboard.crawling import crawl
from treadle import (
    Json,
    Message,
    RunMeta,
    Store,
    Thread,
    ThreadChangeSet,
    ThreadMetadata,
    ToolCall,
)
from treadle import http as treadle_http
from treadle.patches import Set, track

SECRET = "hush-hush"


@pytest.fixture
async def full_store(store: Store) -> Store:
    """A store whose every text that is not an id says the same."""
    secret: dict[str, Json] = {SECRET: SECRET, f"more {SECRET}": [SECRET]}
    titled = ThreadMetadata(extra={"title": SECRET, "topic": SECRET})
    await store.threads.create(
        Thread(id="t", resource_id=SECRET, state=secret, metadata=titled, extra={"note": SECRET})
    )
    meta = RunMeta(
        agent_id=SECRET,
        status="waiting",
        termination_code=SECRET,
        termination_detail=SECRET,
        metadata={"interrupts": [{"id": "i", "message": SECRET}], "note": SECRET},
    )
    call = ToolCall(id="c", name=SECRET, arguments=secret, extra={"note": SECRET})
    messages = [
        Message.user(SECRET),
        msgspec.structs.replace(
            Message.assistant([secret, {"type": "text", "text": SECRET}], [call]),
            extra={"note": SECRET},
        ),
        Message.tool("c", SECRET),
    ]
    changes = ThreadChangeSet(
        run_id="r",
        run_meta=meta,
        messages=messages,
        patches=[track(Set(path=(SECRET,), value=SECRET), source=SECRET, description=SECRET)],
        actions=[secret],
    )
    await store.threads.append("t", changes)
    await store.threads.create(Thread(id="patched", state={SECRET: 1}))
    await store.threads.append("patched", ThreadChangeSet(patches=changes.patches))
    await store.threads.append("t", ThreadChangeSet(snapshot=secret))
    for mailbox_id in ("t", "m"):
        for _ in range(3):
            await store.mailboxes.send(
                mailbox_id, secret, headers={SECRET: SECRET}, sender_id=SECRET
            )
        [first] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer=SECRET)
        await store.mailboxes.dead_letter(first, error=SECRET, traceback=SECRET)
        [second] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer=SECRET)
        await store.mailboxes.nack(second, error=SECRET, retry_at=2**53)
        await store.mailboxes.pause(mailbox_id, reason=SECRET)
    await store.documents.put("notes", "key", secret)
    return store


async def test_no_page_shows_what_the_hook_has_not_seen(full_store: Store, see: See) -> None:
    browser = await see(treadle_http.admin("ops"), redact=lambda kind, value: "[removed]")
    answers = await crawl(browser, most=20)
    leaks = {
        url: text[max(0, text.index(SECRET) - 80) :][:160]
        for url, response in answers.items()
        if SECRET in (text := f"{url} {response.text} {response.headers}")
    }
    assert not leaks
    assert {response.status_code for response in answers.values()} == {200}


async def test_the_hook_sees_whole_values(full_store: Store, see: See) -> None:
    """A hook may look for the names of fields, so that it must not get what is in one alone."""

    def redact(kind: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: redact(kind, each) for name, each in value.items() if name != SECRET}
        return [redact(kind, each) for each in value] if isinstance(value, list) else value

    await full_store.threads.create(
        Thread(id="s", state={SECRET: "by its name", "else": 1}, resource_id=SECRET)
    )
    await full_store.mailboxes.send("s", 1, headers={SECRET: "by its name"})
    browser = await see(treadle_http.admin("ops"), redact=redact)
    for url, response in (await crawl(browser, most=20)).items():
        assert "by its name" not in response.text, url


async def test_a_title_that_the_form_cannot_hold_is_not_saved_by_it(
    full_store: Store, see: See
) -> None:
    hidden = await see(treadle_http.admin("ops"), redact=lambda kind, value: "[removed]")
    plain = await see(treadle_http.admin("ops"))
    assert 'name="title" value=""' in (await hidden.get("/threads/t")).text
    assert f'name="title" value="{SECRET}"' in (await plain.get("/threads/t")).text
    await full_store.threads.update("t", metadata={"title": "x" * 501})
    assert 'name="title" value=""' in (await plain.get("/threads/t")).text
