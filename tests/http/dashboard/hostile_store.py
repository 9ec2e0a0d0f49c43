"""A store that wants to harm its reader: markup, escapes, huge values, broken records."""

import sqlite3
from contextlib import closing
from pathlib import Path

import treadle
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
from treadle.patches import Set, track

MARKUP = (
    "</pre></script><script>alert('script')</script><img src=x onerror=alert('image')>"
    "<svg onload=alert('svg')>\"'><a href=javascript:alert('link')>link</a>"
    "<style>*{display:none}</style><!-- {{ 7 * 7 }} {% include 'login.html' %} ${7*7} &lt;b&gt;"
)
TERMINAL = "\x1b]0;title\x07\x1b[2J\x9b31m\x00\x08\x7f"
INVISIBLE = "\u202egnp.exe\u2066\u200e\u200b\u2060\ufeff\xad\u2028\u2029\U000e0041"
EVERYTHING = MARKUP + TERMINAL + INVISIBLE + "Z̷̢̛͚a̶l̵g̸o"
ID = "<img src=x onerror=alert('id')>\u202e\u200b &amp;?a=b#c%2F%00 {{7*7}}"
"""An id may have no slash, no backslash and no control characters, but all this."""
LONG_IDS = ("x" * 200, "\U0001f9f5" * 50, "'" * 200)
"""Ids of 200 bytes, which are as many as there can be."""
NUMBERS: list[Json] = [2**64 - 1, -(2**63), 2**53 + 1, 1e308, 0.1]
BIG = 10_000_000
"""Characters of the biggest message."""
CALLS = 10_000
"""Tool calls in the thread that has the most."""
DAMAGED = "damaged"
"""The id of the thread, the run, the mailbox and the document that cannot be read."""


def _deep() -> Json:
    value: Json = EVERYTHING
    for _ in range(45):
        value = {EVERYTHING: [value]}
    return value


async def fill(store: Store) -> None:
    """Write all that is hostile and can be written."""
    await _write_thread(store, ID)
    for thread_id in (*LONG_IDS, DAMAGED):
        await store.threads.create(Thread(id=thread_id, resource_id=thread_id))
        await store.threads.append(thread_id, _run(thread_id))
        await store.mailboxes.send(thread_id, EVERYTHING)
    await _write_mailbox(store, ID)
    for key in ((ID,), tuple(MARKUP + INVISIBLE for _ in range(2)), (DAMAGED,)):
        await store.documents.put(ID, key, {EVERYTHING: [EVERYTHING, *NUMBERS]})
    await store.threads.create(Thread(id="big"))
    await store.threads.append("big", Message.user("<b>" + "wide\u202e" * (BIG // 5)))
    await store.documents.put("big", "big", ["<i>" * 1_000] * 1_000)
    await store.mailboxes.send("big", {"text": "<u>" * 1_000_000})
    await _write_calls(store)


def _run(run_id: str) -> ThreadChangeSet:
    meta = RunMeta(
        agent_id=EVERYTHING,
        status="waiting",
        termination_code=EVERYTHING,
        termination_detail=EVERYTHING,
        input_tokens=2**63 - 1,
        output_tokens=2**63 - 1,
        metadata={"interrupts": [{"id": ID, "message": EVERYTHING}], EVERYTHING: NUMBERS},
    )
    return ThreadChangeSet(
        run_id=run_id, run_meta=meta, messages=[Message.user(EVERYTHING, id=EVERYTHING)]
    )


async def _write_thread(store: Store, thread_id: str) -> None:
    thread = Thread(
        id=thread_id,
        resource_id=EVERYTHING,
        state={EVERYTHING: _deep()},
        metadata=ThreadMetadata(extra={"title": EVERYTHING}),
    )
    await store.threads.create(thread)
    calls = [ToolCall(id=EVERYTHING, name=EVERYTHING, arguments={EVERYTHING: NUMBERS})]
    parts: list[Json] = [
        {"type": "text", "text": EVERYTHING},
        {"type": "image_url", "image_url": {"url": "javascript:alert('picture')"}},
        {"type": EVERYTHING, EVERYTHING: _deep()},
    ]
    patch = track(Set(path=(EVERYTHING, "x"), value=EVERYTHING), source=EVERYTHING)
    await store.threads.append(thread_id, _run(thread_id))
    await store.threads.append(
        thread_id,
        ThreadChangeSet(
            messages=[
                Message.system(EVERYTHING),
                Message.internal_system(EVERYTHING),
                Message.user(parts),
                Message.assistant(EVERYTHING, calls),
                Message.tool(EVERYTHING, EVERYTHING),
                Message.tool("a call that nobody made", '{"html": "<b>"}'),
            ],
            patches=[patch],
            actions=[{EVERYTHING: EVERYTHING}],
        ),
    )


async def _write_mailbox(store: Store, mailbox_id: str) -> None:
    headers = {MARKUP[:100]: MARKUP}
    for number, payload in enumerate((EVERYTHING, _deep(), NUMBERS)):
        await store.mailboxes.send(
            mailbox_id,
            payload,
            headers=headers,
            dedupe_key=f"{EVERYTHING}{number}",
            sender_id=EVERYTHING,
            priority=255,
        )
    [first] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer=EVERYTHING)
    await store.mailboxes.dead_letter(first, error=EVERYTHING, traceback=EVERYTHING)
    await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer=EVERYTHING)
    await store.mailboxes.pause(mailbox_id, reason=EVERYTHING)


async def _write_calls(store: Store) -> None:
    """Write a thread in which half of the calls are in one message."""
    await store.threads.create(Thread(id="calls"))
    messages: list[Message] = []
    for number in range(CALLS // 2):
        call = ToolCall(id=f"call-{number}", name="search", arguments={"number": number})
        messages.append(Message.assistant("", [call]))
        messages.append(Message.tool(call.id, "<b>found</b>"))
    calls = [
        ToolCall(id=f"wide-{number}", name="search", arguments={"number": number})
        for number in range(CALLS // 2)
    ]
    messages.append(Message.assistant(MARKUP, calls))
    messages += [Message.tool(call.id, "<b>found</b>") for call in calls]
    await store.threads.append("calls", *messages)


def damage(path: Path) -> None:
    """Break records of the thread, the run, the mailbox and the document that are for this."""
    thread = f"thread_key = (SELECT thread_key FROM threads WHERE thread_id = '{DAMAGED}')"
    statements = (
        f"UPDATE thread_bodies SET body = '{{' WHERE {thread}",
        f"UPDATE messages SET body = '<script>' WHERE {thread}",
        f"UPDATE deltas SET body = x'ff' WHERE {thread}",
        f"UPDATE runs SET body = '[' WHERE run_id = '{DAMAGED}'",
        f"UPDATE mailboxes SET extra = '{{' WHERE mailbox_id = '{DAMAGED}'",
        f"UPDATE entries SET priority = 'high' WHERE mailbox_id = '{DAMAGED}'",
        f"UPDATE documents SET value = '{{' WHERE key = '{DAMAGED}'",
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


async def written(path: Path) -> str:
    """Write the hostile store into a file, and return its URL."""
    url = f"sqlite:///{path}"
    async with treadle.open_store(url) as store:
        await fill(store)
    damage(path)
    return url
