"""The pages of documents: collections, lists, values, and whose they are."""

import json
import re
from urllib.parse import quote

import httpx

from treadle.store.store import Store

ODD = ("", "a/b", "[x]", "50 % & <b>", "\u202e")


async def test_collections_documents_and_values_lead_to_each_other(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.documents.put("memories", ("anna", "language"), {"is": "English"})
    await store.documents.put("memories", ODD, 2**63 - 1)
    assert 'href="/documents/memories"' in (await admin.get("/documents")).text
    page = await admin.get("/documents/memories")
    links = re.findall(r'href="(/documents/memories/document\?[^"]+)"', page.text)
    assert len(links) == 2
    texts = [(await admin.get(link)).text for link in links]
    assert any("9223372036854775807" in text for text in texts)
    assert any("English" in text for text in texts)
    assert not {"\u202e", "<b>"} & {*page.text.split('"'), *page.text}
    key = quote(json.dumps(ODD))
    whole = await admin.get(f"/documents/memories/document/value?key={key}")
    assert whole.json() == 2**63 - 1


async def test_documents_come_in_pages_in_the_order_of_their_keys(
    store: Store, admin: httpx.AsyncClient
) -> None:
    for number in range(120):
        await store.documents.put("c", ("x", f"{number:03}"), number)
    await store.documents.put("c", ("y", "1"), "behind")
    found: list[str] = []
    url = "/documents/c?prefix=x"
    while url:
        page = await admin.get(url)
        found += re.findall(r">x / (\d+)</a>", page.text)
        link = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = link[1].replace("&amp;", "&") if link else ""
    assert found == [f"{number:03}" for number in range(120)]


async def test_a_large_value_is_cut_and_can_be_seen_whole(
    store: Store, admin: httpx.AsyncClient
) -> None:
    await store.documents.put("c", ("k",), "x" * 300_000)
    page = await admin.get("/documents/c/document?key=k")
    assert len(page.text) < 60_000
    assert "300,000 characters" in page.text
    assert (await admin.get("/documents/c/document/value?key=k")).text == "x" * 300_000


async def test_an_owner_sees_their_documents_only(store: Store, alice: httpx.AsyncClient) -> None:
    await store.documents.put("c", ("alice", "a"), "hers")
    await store.documents.put("c", ("bob", "b"), "his")
    assert "/documents/c" not in (await alice.get("/documents")).text
    opened = await alice.get("/documents?collection=c")
    assert opened.headers["location"] == "/documents/c"
    page = await alice.get("/documents/c")
    assert "hers" in page.text
    assert "his" not in re.sub(r"<[^>]*>", "", page.text)
    assert (await alice.get("/documents/c?prefix=bob")).status_code == 403
    assert (await alice.get('/documents/c?prefix=["bob"]')).status_code == 403
    assert (await alice.get("/documents/c/document?key=bob/b")).status_code == 404
    assert (await alice.get("/documents/c/document?key=alice/a")).status_code == 200


async def test_a_key_that_is_none_is_an_error(admin: httpx.AsyncClient) -> None:
    for wrong in ("[1]", "[", '["a",]', "", "a%1Fb"):
        for page in ("document", "document/value"):
            answer = await admin.get(f"/documents/c/{page}?key={wrong}")
            assert answer.status_code == 400, wrong
    assert (await admin.get("/documents/c/document?key=missing")).status_code == 404


async def test_search_finds_a_document_by_its_collection_and_key(
    store: Store, admin: httpx.AsyncClient, alice: httpx.AsyncClient
) -> None:
    await store.documents.put("memories", ("bob", "x"), 1)
    found = await admin.get("/search?q=memories/bob/x")
    assert found.status_code == 303
    assert found.headers["location"].startswith("/documents/memories/document?key=")
    assert (await admin.get("/search?q=memories/bob")).status_code == 200
    assert (await alice.get("/search?q=memories/bob/x")).status_code == 200
