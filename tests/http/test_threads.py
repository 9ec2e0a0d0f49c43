"""Threads over HTTP."""

import httpx
import pytest

from tests.http.conftest import Connect
from treadle import Message, MessageMetadata, Thread, ThreadChangeSet, patches
from treadle import http as treadle_http
from treadle.store.store import Store


async def test_a_thread_is_created_shown_and_deleted(admin: httpx.AsyncClient) -> None:
    body = {
        "id": "t",
        "resource_id": "alice",
        "metadata": {"title": "Hi"},
        "state": {"n": 2**64 - 1},
    }
    created = await admin.post("/v1/threads", json=body)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "t"
    assert created.json()["version"] == 0
    shown = await admin.get("/v1/threads/t")
    assert shown.json()["state"] == {"n": 2**64 - 1}
    assert shown.json()["metadata"]["title"] == "Hi"
    assert (await admin.head("/v1/threads/t")).headers["content-length"] == str(len(shown.content))
    assert (await admin.delete("/v1/threads/t")).status_code == 204
    assert (await admin.delete("/v1/threads/t")).status_code == 204
    missing = await admin.get("/v1/threads/t")
    assert missing.status_code == 404
    assert missing.json()["code"] == "not_found"


async def test_a_patch_that_does_not_fit_hides_no_conversation(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t", state={"a": 1}, messages=(Message.user("hi"),)))
    broken = patches.track(patches.Increment(("n",), 1))
    await store.threads.append("t", ThreadChangeSet(patches=[broken]))
    shown = await admin.get("/v1/threads/t")
    assert shown.status_code == 200, shown.text
    assert [each["content"] for each in shown.json()["messages"]] == ["hi"]
    assert shown.json()["state"] == {"a": 1}
    problem, advice = shown.json()["state_error"].split(". ", 1)
    assert problem == "path not found: $.n"
    assert "appends a ThreadChangeSet(snapshot=...)" in advice
    await store.threads.append("t", ThreadChangeSet(snapshot={"n": 1}, patches=[broken]))
    shown = await admin.get("/v1/threads/t")
    assert shown.json()["state"] == {"n": 2}
    assert "state_error" not in shown.json()


async def test_the_server_makes_the_id_of_a_thread_that_has_none(admin: httpx.AsyncClient) -> None:
    created = await admin.post("/v1/threads")
    assert created.status_code == 201
    found = await admin.get(f"/v1/threads/{created.headers['location']}/summary")
    assert found.json() == created.json()


async def test_a_known_thread_is_kept_if_asked_for(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/threads", json={"id": "t", "state": 1})
    assert (await admin.post("/v1/threads", json={"id": "t"})).status_code == 409
    kept = await admin.post("/v1/threads", json={"id": "t", "if_exists": "keep"})
    assert (kept.status_code, kept.json()["id"]) == (200, "t")


async def test_an_encoded_slash_is_part_of_an_id_and_refused(admin: httpx.AsyncClient) -> None:
    for path in ("/v1/threads/a%2Fb", "/v1/threads/%00", "/v1/threads/..%2F"):
        answer = await admin.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_id")


async def test_who_may_not_read_internal_messages_does_not_get_them(
    connect: Connect, store: Store
) -> None:
    await store.threads.create(Thread(id="t", resource_id="alice"))
    secret = Message.internal_system("secret", id="m1")
    said = Message.user("hi", id="m2", metadata=MessageMetadata(run_id="r", step_index=1))
    changes = ThreadChangeSet(messages=[secret, said], actions=[{"secret": 1}])
    await store.threads.append("t", changes)
    alice = await connect(treadle_http.user("alice"))
    for path in ("", "/messages", "/deltas?after=0"):
        answer = await alice.get(f"/v1/threads/t{path}")
        assert answer.status_code == 200
        assert "hi" in answer.text
        assert "secret" not in answer.text
    assert (await alice.get("/v1/threads/t/messages?visibility=none")).status_code == 403
    viewer = await connect(treadle_http.viewer("ops"))
    assert "secret" in (await viewer.get("/v1/threads/t/messages?visibility=internal")).text
    assert "secret" in (await viewer.get("/v1/threads/t")).text


async def test_messages_are_flat_and_without_their_runs(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t"), now=1)
    said = Message.user("hi", id="m", metadata=MessageMetadata(run_id="r", step_index=1))
    await store.threads.append("t", said, now=2)
    page = await admin.get("/v1/threads/t/messages")
    assert page.json() == {
        "messages": [
            {
                "id": "m",
                "role": "user",
                "content": "hi",
                "metadata": {"step_index": 1},
                "cursor": 0,
                "committed_at": 2,
            }
        ],
        "has_more": False,
        "next_cursor": 0,
        "prev_cursor": 0,
    }


async def test_the_state_that_is_shown_has_all_patches(
    admin: httpx.AsyncClient, store: Store
) -> None:
    state = {"n": 1, "__run": {"id": "r", "status": "done"}}
    await store.threads.create(Thread(id="t", state=state))
    patch = patches.track(patches.Set(("n",), 2))
    await store.threads.append("t", ThreadChangeSet(patches=[patch]))
    shown = (await admin.get("/v1/threads/t")).json()
    assert "patches" not in shown
    assert shown["state"] == {"n": 2, "__run": {"status": "done"}}


async def test_a_version_that_is_not_known_is_gone_and_the_thread_is_not(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("hi"))
    earlier = await admin.get("/v1/threads/t?version=0")
    assert (earlier.json()["version"], earlier.json()["messages"]) == (0, [])
    for version in (-1, 2):
        answer = await admin.get(f"/v1/threads/t?version={version}")
        assert (answer.status_code, answer.json()["code"]) == (410, "version_unknown")
    assert (await admin.get("/v1/threads/nothing?version=0")).status_code == 404


async def test_labels_are_merged_and_appends_are_not_lost(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="t"))
    await store.threads.append("t", Message.user("hi"))
    titled = await admin.patch("/v1/threads/t/metadata", json={"title": "Hi", "tags": {"a": 1}})
    assert titled.json()["title"] == "Hi"
    changed = await admin.patch("/v1/threads/t", json={"metadata": {"title": None}})
    assert changed.json()["metadata"]["tags"] == {"a": 1}
    assert "title" not in changed.json()["metadata"]
    assert (changed.json()["version"], changed.json()["message_count"]) == (1, 1)


async def test_threads_are_searched_with_their_last_messages(
    alice: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    internal = Message(role="assistant", content="thoughts", visibility="internal")
    await store.threads.append("hers", Message.user("hi"), internal)
    path = "/v1/search/threads"
    [plain] = (await alice.get(path)).json()["items"]
    [item] = (await alice.get(f"{path}?with_last_message=true")).json()["items"]
    assert "last_message" not in plain
    assert item["last_message"]["message"]["content"] == "hi"
    assert "thoughts" not in str(item)


@pytest.mark.parametrize("path", ["/v1/threads", "/v1/threads/summaries", "/v1/search/threads"])
async def test_listings_have_only_what_is_the_principals(
    path: str, alice: httpx.AsyncClient, store: Store
) -> None:
    await store.threads.create(Thread(id="hers", resource_id="alice"))
    await store.threads.create(Thread(id="his", resource_id="bob"))
    await store.threads.create(Thread(id="nobodys"))
    answer = await alice.get(path)
    assert "hers" in answer.text
    assert "his" not in answer.text
    assert "nobodys" not in answer.text
    assert (await alice.get(f"{path}?resource_id=bob")).status_code == 403
