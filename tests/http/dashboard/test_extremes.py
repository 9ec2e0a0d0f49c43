"""Names of any length, and what is internal, on every page."""

from tests.http.dashboard.conftest import See
from tests.http.dashboard.crawling import crawl
from treadle import Message, RunMeta, Store, Thread, ThreadChangeSet, ToolCall
from treadle import http as treadle_http

LONG = "n" * 30_000
CLASSIFIED = "classified"
MOST_BYTES = 200_000


async def test_names_of_any_length_make_no_large_page(store: Store, see: See) -> None:
    for number in range(12):
        thread_id = f"t{number}"
        await store.threads.create(Thread(id=thread_id, resource_id=f"{LONG}{number}"))
        sent = await store.mailboxes.send(
            thread_id,
            1,
            sender_id=LONG,
            dedupe_key=f"{LONG}{number}",
            headers={LONG[:100]: LONG[:900]},
        )
        calls = [ToolCall(id=f"{LONG}{each}", name=LONG, arguments=1) for each in range(9)]
        messages = [
            Message.user("x", id=f"{LONG}{number}"),
            Message.assistant("x", calls),
            *(Message.tool(f"{LONG}{each}", "x") for each in range(6, 12)),
        ]
        meta = RunMeta(
            agent_id=f"{LONG}{number}",
            status="running" if number % 2 else "waiting",
            termination_code=LONG,
            source_mailbox_entry_id=sent.entry.entry_id,
            input_tokens=1,
        )
        changes = ThreadChangeSet(run_id=f"r{number}", run_meta=meta, messages=messages)
        await store.threads.append(thread_id, changes)
        if number % 2:
            await store.mailboxes.claim(1, mailbox_id=thread_id, consumer=f"{LONG}{number}")
    browser = await see(treadle_http.admin(LONG))
    large = {
        url: len(answer.content)
        for url, answer in (await crawl(browser, most=8)).items()
        if answer.headers["content-type"].startswith("text/html")
        and len(answer.content) > MOST_BYTES
    }
    assert not large


async def test_what_is_internal_is_nowhere_for_who_may_not_read_it(store: Store, see: See) -> None:
    await store.threads.create(Thread(id="t"))
    hidden = Message.internal_system(CLASSIFIED)
    payload = {"messages": [{"role": "system", "content": CLASSIFIED, "visibility": "internal"}]}
    changes = ThreadChangeSet(
        run_id="r",
        run_meta=RunMeta(agent_id="a", status="waiting"),
        messages=[Message.user("hello"), hidden, Message.assistant("hello")],
        actions=[{"do": CLASSIFIED}],
    )
    await store.threads.append("t", changes)
    for mailbox_id in ("t", "m"):
        for _ in range(3):
            await store.mailboxes.send(mailbox_id, payload)
        [first] = await store.mailboxes.claim(1, mailbox_id=mailbox_id, consumer="w")
        await store.mailboxes.dead_letter(first, error="failed", traceback=CLASSIFIED)
    await store.mailboxes.claim(1, mailbox_id="t", consumer="w")
    may = treadle_http.admin("ops").can - {"read_internal"}
    browser = await see(treadle_http.Principal(id="most", owner=treadle_http.ALL_OWNERS, can=may))
    answers = await crawl(browser, most=20)
    answers |= {
        path: await browser.get(path)
        for path in ("/threads/t?internal=true", "/threads/t/messages/1", "/threads/t/fork?at=2")
    }
    assert not [url for url, answer in answers.items() if CLASSIFIED in answer.text]
