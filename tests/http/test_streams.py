"""Streams of events: in order, resumable, bounded, cut off and ended, and only of one's own."""

import asyncio
from typing import Any

import pytest

import treadle.http
from tests.http.streams_in_process import SOON_SECONDS, Event, Stream, streaming
from treadle import (
    Message,
    RunRecord,
    RunRequest,
    Store,
    StoreUnavailable,
    Thread,
    ThreadChangeSet,
    encode,
)
from treadle.core.thread_queries import ListDeltas
from treadle.http import App, Limits, Principal, admin, everyone, user, viewer

EVENTS = "/v1/threads/t/events"


def app_of(store: Store, principal: Principal | None = None, **limits: Any) -> App:
    return treadle.http.app(
        store, authenticate=everyone(principal or admin("ops")), limits=Limits(**limits)
    )


async def until_listening(stream: Stream) -> None:
    await stream.until(lambda stream: b"retry" in stream.body)


async def append(store: Store, *texts: str) -> None:
    for text in texts:
        await store.threads.append("t", Message.user(text, id=text))


def said(events: list[Event]) -> list[str]:
    return [
        message["content"]
        for event in events
        if event.kind == "delta"
        for message in event.data["changes"]["messages"]
    ]


@pytest.fixture
async def thread(store: Store) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))


@pytest.mark.usefixtures("thread")
class TestDeltas:
    async def test_deltas_come_as_they_are_committed(self, store: Store) -> None:
        await append(store, "before")
        async with streaming(app_of(store), EVENTS) as stream:
            await until_listening(stream)
            await append(store, "a", "b")
            events = await stream.until_events(2)
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert "content-length" not in stream.headers
        assert [event.id for event in events] == ["2", "3"]
        assert said(events) == ["a", "b"]
        [delta, _] = await store.threads.list_deltas("t", 1) or ()
        assert stream.body.split(b"data: ")[1].split(b"\n")[0] == encode(delta)

    async def test_a_client_goes_on_behind_the_last_event(self, store: Store) -> None:
        await append(store, "a", "b", "c")
        for headers, query in [({"last-event-id": "1"}, ""), ({}, "?after=1")]:
            async with streaming(app_of(store), EVENTS + query, headers=headers) as stream:
                assert said(await stream.until_events(2)) == ["b", "c"]
        headers = {"last-event-id": "2"}  # it wins: a browser repeats the address as it was
        async with streaming(app_of(store), EVENTS + "?after=0", headers=headers) as stream:
            assert said(await stream.until_events(1)) == ["c"]

    @pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "9" * 19, "9" * 30, "\u0661"])
    async def test_a_wrong_last_event_id_is_refused(self, store: Store, wrong: str) -> None:
        async with streaming(app_of(store), EVENTS, headers={"last-event-id": wrong}) as stream:
            await stream.until(lambda stream: stream.has_ended)
        assert stream.status == 400

    async def test_what_is_not_known_is_a_reset_and_deltas_follow(self, store: Store) -> None:
        await append(store, "a")
        await store.threads.save(Thread(id="t", resource_id="alice"))
        async with streaming(app_of(store), EVENTS + "?after=0") as stream:
            assert await stream.until_events(1) == [
                Event(data={"version": 2}, kind="reset", id="2")
            ]
            await append(store, "b")
            assert said(await stream.until_events(2)) == ["b"]

    async def test_a_deleted_thread_ends_the_stream(self, store: Store) -> None:
        async with streaming(app_of(store), EVENTS) as stream:
            await until_listening(stream)
            await store.threads.delete("t")
            events = await stream.until_end()
        assert events == [Event(data={"thread_id": "t"}, kind="deleted")]

    async def test_internal_messages_are_left_out(self, store: Store) -> None:
        hidden = ThreadChangeSet(
            messages=[Message.internal_system("secret"), Message.user("open")], actions=["secret"]
        )
        async with (
            streaming(app_of(store, user("alice")), EVENTS) as theirs,
            streaming(app_of(store, viewer("eve")), EVENTS) as all_of_it,
        ):
            await until_listening(theirs)
            await until_listening(all_of_it)
            await store.threads.append("t", hidden)
            assert said(await theirs.until_events(1)) == ["open"]
            assert b"secret" not in theirs.body
            assert said(await all_of_it.until_events(1)) == ["secret", "open"]

    async def test_a_thread_that_becomes_anothers_is_gone(self, store: Store) -> None:
        async with streaming(app_of(store, user("alice")), EVENTS) as stream:
            await until_listening(stream)
            await store.threads.update("t", resource_id="bob")
            await append(store, "secret")
            events = await stream.until_end()
        assert events == [Event(data={"thread_id": "t"}, kind="deleted")]

    async def test_an_error_is_the_last_event(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with streaming(app_of(store), EVENTS) as stream:
            await until_listening(stream)
            read = store.read

            async def fail(*queries: Any) -> Any:
                if any(isinstance(query, ListDeltas) for query in queries):
                    raise StoreUnavailable("/secret/path", "gone")
                return await read(*queries)

            monkeypatch.setattr(store, "read", fail)
            await append(store, "a")
            [event] = await stream.until_end()
        assert (event.kind, event.data["code"]) == ("error", "store_unavailable")
        assert b"secret" not in stream.body


@pytest.mark.usefixtures("thread")
class TestLiveValues:
    async def test_live_values_come_to_who_asks_for_them(self, store: Store) -> None:
        app = app_of(store)
        async with streaming(app, EVENTS + "?live=true") as live, streaming(app, EVENTS) as other:
            await until_listening(live)
            await until_listening(other)
            await asyncio.sleep(0.01)
            await store.live.publish("t", {"text": "Hel"})
            await live.until_events(1)
            await append(store, "Hello")
            events = await live.until_events(2)
            assert [(event.kind, event.id) for event in events] == [("live", None), ("delta", "1")]
            assert events[0].data == {"text": "Hel"}
            assert [event.kind for event in await other.until_events(1)] == ["delta"]

    async def test_a_stop_ends_what_was_shown(self, store: Store) -> None:
        request = RunRequest(agent_id="a", thread_id="t", run_id="r1")
        await store.runs.request(request)
        async with streaming(app_of(store), EVENTS + "?live=true") as live:
            await until_listening(live)
            await store.runs.upsert(
                RunRecord(run_id="r1", thread_id="t", source_mailbox_entry_id="r1")
            )
            await store.live.message("t", "m1", run_id="r1").text("Hel")
            await live.until_events(1)
            await store.mailboxes.interrupt("t")
            events = await live.until_events(2)
            assert [(event.kind, event.id) for event in events] == [
                ("live", None),
                ("run_ended", None),
            ]
            end = {"run_id": "r1", "status": "done", "termination_code": "superseded"}
            assert events[1].data == end


class TestHints:
    async def test_hints_of_a_thread_name_it_and_its_mailbox(self, store: Store) -> None:
        await store.threads.create(Thread(id="t", resource_id="alice"))
        async with streaming(app_of(store, user("alice")), "/v1/threads/t/hints") as stream:
            assert (await stream.until_events(1))[0].data == {"kind": "anything"}
            await store.mailboxes.send("t", 1)
            await store.mailboxes.send("other", 1)
            await append(store, "a")
            events = await stream.until_events(3)
        found = {(event.kind, event.data["kind"], event.data["id"]) for event in events[1:]}
        assert found == {("hint", "mailbox", "t"), ("hint", "thread", "t")}

    @pytest.mark.parametrize("is_deleted", [True, False])
    async def test_hints_end_with_the_ownership(self, store: Store, is_deleted: bool) -> None:
        await store.threads.create(Thread(id="t", resource_id="alice"))
        async with streaming(app_of(store, user("alice")), "/v1/threads/t/hints") as stream:
            await stream.until_events(1)
            if is_deleted:
                await store.threads.delete("t")
            else:
                await store.threads.update("t", resource_id="bob")
            events = await stream.until_end()
        assert [(event.kind, event.data) for event in events[1:]] == [
            ("deleted", {"thread_id": "t"})
        ]

    async def test_hints_of_a_deleted_thread_go_on_for_who_sees_all(self, store: Store) -> None:
        await store.threads.create(Thread(id="t"))
        async with streaming(app_of(store), "/v1/threads/t/hints") as stream:
            await stream.until_events(1)
            await store.threads.delete("t")
            await stream.until_events(2)
            await store.mailboxes.send("t", 1)
            events = await stream.until_events(3)
        assert events[-1].data == {"kind": "mailbox", "id": "t"}

    async def test_hints_of_the_store_are_for_who_sees_all(self, store: Store) -> None:
        async with streaming(app_of(store, user("alice")), "/v1/events") as stream:
            await stream.until(lambda stream: stream.has_ended)
        assert stream.status == 403
        async with streaming(app_of(store, viewer("ops")), "/v1/events") as stream:
            await stream.until_events(1)
            await store.documents.put("notes", "a", 1)
            events = await stream.until_events(2)
        assert events[1].data == {"kind": "collection", "id": "notes"}

    async def test_many_changes_are_few_hints(self, store: Store) -> None:
        await store.threads.create(Thread(id="t"))
        async with streaming(app_of(store), "/v1/threads/t/hints") as stream:
            await stream.until_events(1)
            await append(store, *map(str, range(300)))
            await asyncio.sleep(0.25)
            assert len(stream.events) <= 5


@pytest.mark.usefixtures("thread")
class TestLimits:
    async def test_a_quiet_stream_sends_comments(self, store: Store) -> None:
        async with streaming(app_of(store, heartbeat_seconds=0.01), EVENTS) as stream:
            await stream.until(lambda stream: stream.body.count(b"\n:\n\n") >= 3)
        assert stream.events == []

    async def test_a_principal_has_so_many_streams_at_most(self, store: Store) -> None:
        app = treadle.http.app(
            store,
            authenticate=lambda request: viewer(request.headers["x-name"]),
            limits=Limits(streams=3, streams_per_principal=2),
        )

        def open_as(name: str) -> Any:
            return streaming(app, EVENTS, headers={"x-name": name})

        async with open_as("a") as first, open_as("a") as second, open_as("b") as other:
            for stream in (first, second, other):
                await until_listening(stream)
            for name in ("a", "c"):
                async with open_as(name) as refused:
                    await refused.until(lambda stream: stream.has_ended)
                assert refused.status == 429
                assert refused.headers["retry-after"] == "1"
                assert b"too_many_streams" in refused.body
        async with open_as("c") as stream:
            await until_listening(stream)

    async def test_the_audit_hears_of_a_stream_for_which_there_is_no_room(
        self, store: Store
    ) -> None:
        heard: list[treadle.http.Audited] = []
        app = treadle.http.app(
            store,
            authenticate=everyone(admin("ops")),
            limits=Limits(streams=1),
            audit=heard.append,
        )
        async with streaming(app, EVENTS) as first:
            await until_listening(first)
            async with streaming(app, EVENTS) as refused:
                await refused.until(lambda stream: stream.has_ended)
        assert [each.status for each in heard] == [429]

    async def test_a_stream_lasts_so_long_at_most(self, store: Store) -> None:
        async with streaming(app_of(store, stream_seconds=0.05), EVENTS) as stream:
            assert await stream.until_end() == []

    async def test_a_client_that_does_not_read_is_cut_off(self, store: Store) -> None:
        async with streaming(app_of(store, write_seconds=0.05), EVENTS) as stream:
            await until_listening(stream)
            stream.reads.clear()
            await append(store, "a")
            async with asyncio.timeout(SOON_SECONDS):
                await stream.is_over.wait()
            stream.reads.set()
        assert not stream.has_ended  # the server closes the connection
        assert stream.events == []

    async def test_a_client_that_does_not_read_the_end_is_cut_off(self, store: Store) -> None:
        app = app_of(store, write_seconds=0.05, stream_seconds=0.05)
        async with streaming(app, EVENTS) as stream:
            await until_listening(stream)
            stream.reads.clear()
            async with asyncio.timeout(SOON_SECONDS):
                await stream.is_over.wait()
        assert not stream.has_ended

    async def test_a_server_that_stops_waits_for_no_client(self, store: Store) -> None:
        app = app_of(store, write_seconds=3_600)
        async with streaming(app, EVENTS) as waiting, streaming(app, EVENTS) as writing:
            for stream in (waiting, writing):
                await until_listening(stream)
            writing.reads.clear()
            await append(store, "a")
            await waiting.until_events(1)  # so the other one has begun to write, too
            waiting.reads.clear()
            app.streams.end()
            async with asyncio.timeout(SOON_SECONDS):
                await waiting.is_over.wait()
                await writing.is_over.wait()

    async def test_streams_end_with_the_server_and_no_new_one_begins(self, store: Store) -> None:
        app = app_of(store)
        async with streaming(app, EVENTS) as one, streaming(app, "/v1/events") as two:
            await until_listening(one)
            await two.until_events(1)
            app.streams.end()
            assert await one.until_end() == []
            await two.until_end()
        async with streaming(app, EVENTS) as stream:
            await stream.until(lambda stream: stream.has_ended)
        assert stream.status == 503

    async def test_a_client_that_leaves_frees_everything(self, store: Store) -> None:
        app = app_of(store, streams=1)
        before = len(asyncio.all_tasks())
        for _ in range(3):
            async with streaming(app, EVENTS + "?live=true") as stream:
                await until_listening(stream)
            assert len(asyncio.all_tasks()) == before

    async def test_a_question_for_the_headers_opens_no_stream(self, store: Store) -> None:
        app = app_of(store, streams=1)
        for _ in range(3):
            async with streaming(app, EVENTS, method="HEAD") as stream:
                await stream.until(lambda stream: stream.has_ended)
            assert (stream.status, stream.body) == (200, b"")

    async def test_an_audit_that_fails_leaves_no_stream_open(self, store: Store) -> None:
        def fail(_: treadle.http.Audited) -> None:
            raise ValueError("the audit failed")

        app = treadle.http.app(store, authenticate=everyone(admin("ops")), audit=fail)
        given = {"threadId": "t", "runId": "r"}
        path = "/v1/ag-ui/agents/helper/runs"
        before = len(asyncio.all_tasks())
        with pytest.raises(ValueError, match="the audit failed"):
            async with streaming(app, path, method="POST", body=given):
                await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == before
        with app.streams.counted("ops", Limits(streams=1)):
            pass


@pytest.mark.usefixtures("thread")
@pytest.mark.parametrize("path", [EVENTS, "/v1/threads/t/hints"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_stream_of_another_owner_does_not_exist(
    store: Store, path: str, method: str
) -> None:
    async with streaming(app_of(store, user("bob")), path, method=method) as stream:
        await stream.until(lambda stream: stream.has_ended)
    assert stream.status == 404
