"""Every operation says who may call it, and the checks hold for all of them."""

import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.http.conftest import Connect
from treadle import ThreadMetadata, commands
from treadle import http as treadle_http
from treadle.http._batches import ACTIONS
from treadle.http._operation import Operation, check_operation
from treadle.http._operations import OPERATIONS
from treadle.http._owners import FILTERED, OWN_THREAD, PUBLIC
from treadle.store.store import Store

ROOT = Path(__file__).parents[2]
HTTP = ROOT / "src" / "treadle" / "http"
NAMES = [f"{each.method} {each.path}" for each in OPERATIONS]


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_an_operation_has_an_action_and_an_owner_rule(operation: Operation) -> None:
    check_operation(operation)
    assert operation.summary.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"action": None},
        {"action": "everything"},
        {"owner": None},
        {"owner": PUBLIC},
        {"owner": FILTERED},
        {"path": "/v1/threads"},
    ],
)
async def test_an_operation_that_leaves_open_who_may_call_it_does_not_start(
    changes: dict[str, object], store: Store
) -> None:
    operation = next(each for each in OPERATIONS if each.owner is OWN_THREAD)
    broken = msgspec.structs.replace(operation, **changes)
    with pytest.raises(ValueError, match=re.escape(f"{broken.method} {broken.path}")):
        treadle_http.App(
            store,
            (broken,),
            authenticate=treadle_http.everyone(treadle_http.admin("ops")),
            hosts=treadle_http.LOOPBACK,
            read_only=False,
            limits=treadle_http.Limits(),
            audit=lambda _: None,
        )


async def test_the_schema_says_which_keys_of_the_metadata_are_refused(
    admin: httpx.AsyncClient,
) -> None:
    await admin.post("/v1/threads", json={"id": "t"})
    one = "/v1/threads/{thread_id}"
    for method, path, is_field in [
        ("POST", "/v1/threads", True),
        ("PATCH", one, True),
        ("PATCH", f"{one}/metadata", False),
    ]:
        schema = body_schema((await admin.get("/openapi.json")).json(), method, path)
        if is_field:
            schema = schema["properties"]["metadata"]
        refused = schema["propertyNames"]["not"]["enum"]
        assert "created_at" in refused
        for key in (*ThreadMetadata.__struct_fields__, "title", "now"):
            body = {"metadata": {key: 1}} if is_field else {key: 1}
            answer = await admin.request(method, path.format(thread_id="t"), json=body)
            assert (answer.status_code == 400) == (key in refused), answer.text


async def test_the_schema_of_a_batch_has_the_limit_of_the_server(connect: Connect) -> None:
    limits = treadle_http.Limits(commands=3)
    client = await connect(treadle_http.admin("ops"), limits=limits)
    schema = body_schema((await client.get("/openapi.json")).json(), "POST", "/v1/batch")
    most = schema["properties"]["commands"]["maxItems"]
    for count in (most, most + 1):
        commands = [{"command": "EnsureMailbox", "mailbox_id": f"m{n}"} for n in range(count)]
        answer = await client.post("/v1/batch", json={"commands": commands})
        assert (answer.status_code == 200) == (count <= limits.commands), answer.text


def body_schema(document: Any, method: str, path: str) -> Any:
    """Return the schema of the body of an operation."""
    body = document["paths"][path][method.lower()]["requestBody"]
    return body["content"]["application/json"]["schema"]


def test_the_reference_has_the_code_of_every_refusal() -> None:
    sources = "".join(each.read_text("utf-8") for each in HTTP.glob("*.py"))
    codes = set(re.findall(r'Refused\(\d+, "(\w+)"', sources))
    codes |= set(re.findall(r'_Answer\(\d+, "(\w+)"', sources))
    page = (ROOT / "docs" / "reference" / "http.md").read_text("utf-8")
    table = page.partition("| status | code |")[2].partition("<!-- operations -->")[0]
    assert codes
    assert codes <= set(re.findall(r"`(\w+)`", table))


def test_every_command_of_a_batch_needs_a_right() -> None:
    names = [getattr(commands, name) for name in commands.__all__]
    concrete = {
        each
        for each in names
        if isinstance(each, type)
        and issubclass(each, commands.Command)
        and each.apply is not commands.Command.apply
    }
    left_out = {each.__name__ for each in concrete - set(ACTIONS)}
    assert left_out == {
        "RestoreDocument",
        "RestoreEntry",
        "RestoreMailbox",
        "RestoreRun",
        "RestoreThread",
    }


def path_of(operation: Operation) -> str:
    return re.sub(r"\{\w+\}", "x", operation.path)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
async def test_who_lacks_the_right_or_a_name_is_refused(
    operation: Operation, connect: Connect
) -> None:
    if operation.action is None:
        return
    everything = treadle_http.admin("ops").can
    others = treadle_http.Principal(
        id="most",
        owner=treadle_http.ALL_OWNERS,
        can=everything - {operation.action},
    )
    client: httpx.AsyncClient = await connect(others)
    methods = [operation.method, "HEAD"] if operation.method == "GET" else [operation.method]
    for method in methods:
        refused = await client.request(method, path_of(operation), json={})
        assert refused.status_code == 403
    nobody: httpx.AsyncClient = await connect(others, authenticate=lambda _: None)
    refused = await nobody.request(operation.method, path_of(operation), json={})
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthorized"


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
async def test_a_server_that_only_reads_changes_nothing(
    operation: Operation, connect: Connect
) -> None:
    client: httpx.AsyncClient = await connect(treadle_http.admin("ops"), read_only=True)
    method = "HEAD" if operation.is_safe else operation.method  # a stream has no end
    answer = await client.request(method, path_of(operation), json={})
    assert (answer.status_code == 403) == (not operation.is_safe)


async def test_the_api_describes_itself(admin: httpx.AsyncClient) -> None:
    described = (await admin.get("/openapi.json")).json()
    listed = {
        (method.upper(), path) for path, item in described["paths"].items() for method in item
    }
    assert listed == {(each.method, each.path) for each in OPERATIONS} - {("GET", "/openapi.json")}
    assert described["openapi"] == "3.1.0"
