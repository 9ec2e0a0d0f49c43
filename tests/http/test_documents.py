"""Documents over HTTP: when they expire."""

import httpx

from treadle import Store, Thread

PATH = "/v1/collections/c/document"


async def test_a_document_expires_some_time_after_its_commit(admin: httpx.AsyncClient) -> None:
    for if_exists, key in (("replace", "a"), ("keep", "b"), ("raise", "c")):
        body = {"value": 1, "if_exists": if_exists, "expires_in_ms": 60_000}
        stored = await admin.put(PATH, params={"key": key}, json=body)
        assert stored.status_code == 201, stored.text
        found = (await admin.get(PATH, params={"key": key})).json()
        assert found["expires_at"] == found["updated_at"] + 60_000
    both = {"value": 1, "expires_at": 1, "expires_in_ms": 1}
    refused = await admin.put(PATH, params={"key": "a"}, json=both)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_value")


async def test_an_expiry_is_moved(admin: httpx.AsyncClient) -> None:
    touch = f"{PATH}/touch"
    await admin.put(PATH, params={"key": "a"}, json={"value": 1})
    moved = await admin.post(touch, params={"key": "a"}, json={"expires_in_ms": 60_000})
    assert moved.status_code == 204, moved.text
    assert "expires_at" in (await admin.get(PATH, params={"key": "a"})).json()
    await admin.post(touch, params={"key": "a"}, json={"expires_at": None})
    assert "expires_at" not in (await admin.get(PATH, params={"key": "a"})).json()
    assert (await admin.post(touch, params={"key": "a"}, json={})).status_code == 400
    nowhere = await admin.post(touch, params={"key": "b"}, json={"expires_at": None})
    assert nowhere.status_code == 404


async def test_an_erasure_names_threads_whose_documents_stay(
    admin: httpx.AsyncClient, store: Store
) -> None:
    for more, expected in (({}, (0, ["bob"])), ({"thread_documents": True}, (1, None))):
        await store.threads.ensure(Thread(id="bob", resource_id="anna"))
        await store.documents.put("memories", ("bob", "drinks"), "tea")
        erased = (await admin.post("/v1/erase", json={"resource_id": "anna", **more})).json()
        assert (erased["documents"], erased.get("left")) == expected
