"""The reference's scenarios: 4,800 calls with their results, and the files left behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.core.codec import from_plain, to_plain
from weft.core.mailboxes import MailboxEntry
from weft.core.threads import Thread, ThreadChangeSet
from weft.errors import PatchError, WeftError

VECTORS = Path(__file__).parent.parent / "vectors"
SCENARIOS = sorted(VECTORS.glob("scenario-*.jsonl"))
FIRST_TICK = 2 * 10**12


def ticking_clock() -> Callable[[], int]:
    """A clock that never tells the same time twice, as the reference's did not."""
    ticks = iter(range(FIRST_TICK, FIRST_TICK * 2))
    return ticks.__next__


class Replay:
    """Makes a scenario's calls on a store."""

    def __init__(self, store: weft.Store) -> None:
        self.store = store
        self.tokens: dict[str, str] = {}

    def keep_token(self, entry: MailboxEntry | None, expected: Any) -> Any:
        """Learn which token stands for the reference's `$token:N`."""
        if entry is None:
            return None
        assert entry.claim_token is not None
        assert entry.claim_token not in self.tokens.values()
        if expected:
            self.tokens[expected["claim_token"]] = entry.claim_token
        return to_plain(entry)

    async def call(self, name: str, arguments: dict[str, Any], expected: Any) -> Any:
        threads, runs, mailboxes = self.store.threads, self.store.runs, self.store.mailboxes
        if "claim_token" in arguments:
            token = arguments["claim_token"]
            arguments = {**arguments, "claim_token": self.tokens.get(token, token)}
        if name in ("ack", "nack", "dead_letter", "extend"):
            arguments["entry"] = arguments.pop("entry_id")
        if name in ("claim", "claim_entry"):
            arguments["consumer"] = arguments.pop("consumer_id")
        match name:
            case "create":
                return (await threads.create(from_plain(Thread, arguments["thread"]))).version
            case "save":
                await threads.save(from_plain(Thread, arguments["thread"]))
                return None
            case "append":
                changes = from_plain(ThreadChangeSet, arguments["delta"])
                expected_version = arguments.get("expected")
                key = arguments["thread_id"]
                return (await threads.append(key, changes, expected=expected_version)).version
            case "delete":
                await threads.delete(arguments["thread_id"])
                return None
            case "load":
                head = await threads.load(arguments["thread_id"])
                return head and to_plain(head)
            case "rebuild":
                head = await threads.load(arguments["thread_id"])
                return head and head.thread.rebuild_state()
            case "load_messages":
                page = to_plain(await threads.messages(**{"visibility": None, **arguments}))
                page["messages"] = [
                    {"cursor": item["cursor"], **item["message"]} for item in page["messages"]
                ]
                return page
            case "list_threads":
                return to_plain(await threads.list(**arguments))
            case "load_run":
                run = await runs.load(arguments["run_id"])
                return run and to_plain(run)
            case "active_run":
                run = await runs.active(arguments["thread_id"])
                return run and to_plain(run)
            case "enqueue":
                return await mailboxes.enqueue(from_plain(MailboxEntry, arguments["entry"]))
            case "claim":
                entries = await mailboxes.claim(**arguments)
                assert len(entries) == len(expected)
                return [self.keep_token(*pair) for pair in zip(entries, expected, strict=True)]
            case "claim_entry":
                return self.keep_token(await mailboxes.claim_entry(**arguments), expected)
            case "extend":
                return await mailboxes.extend_lease(**arguments)
            case "ack" | "nack" | "dead_letter" | "purge":
                return await getattr(mailboxes, name)(**arguments)
            case "cancel_pending":
                return [to_plain(entry) for entry in await mailboxes.cancel_pending(**arguments)]
            case "load_entry":
                entry = await mailboxes.load(arguments["entry_id"])
                return entry and to_plain(entry)
            case "list_entries":
                return to_plain(await mailboxes.list(**arguments))
            case _:
                result = await getattr(mailboxes, name)(**arguments)
                return result and to_plain(result)


def comparable(value: Any, tokens: dict[str, str]) -> Any:
    """A result in the vectors' terms: clock times as `$time`, tokens by their number."""
    names = {token: name for name, token in tokens.items()}
    if isinstance(value, dict):
        return {key: comparable(item, tokens) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(item, tokens) for item in value]
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, int) and FIRST_TICK <= value < FIRST_TICK + 10**6:
        return "$time"
    return value


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def documents(folder: Path) -> dict[str, Any]:
    """What lies in a store's folder, but for Weft's own files; keys in their order."""
    paths = [path for path in folder.rglob("*.json") if "_weft" not in path.parts]
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text("utf-8")) for path in paths
    }


@pytest.fixture(params=["memory", "files"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else str(tmp_path / "store")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_every_call_answers_as_the_reference_does(path: Path, url: str) -> None:
    lines = read_lines(path)
    async with weft.open_store(url, clock=ticking_clock()) as store:
        replay = Replay(store)
        for line in lines:
            if "call" not in line:
                continue
            expected = line.get("returns")
            result: Any = None
            raised: str | None = None
            try:
                result = await replay.call(line["call"], dict(line["args"]), expected)
            except WeftError as error:
                raised = "State" if isinstance(error, PatchError) else type(error).__name__
            assert raised == line.get("raises"), line
            if raised is not None:
                continue
            got = json.dumps(comparable(result, replay.tokens), sort_keys=True)
            assert got == json.dumps(expected, sort_keys=True), line
        tokens = replay.tokens
    if url != "memory:":
        left = comparable(documents(Path(url)), tokens)
        expected_files = lines[-1]["files"]
        assert left.keys() == expected_files.keys()
        for name, document in expected_files.items():
            assert json.dumps(left[name]) == json.dumps(document), name
