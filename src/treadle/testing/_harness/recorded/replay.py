"""Replays the scenarios of tirea: each call, its result, and the files left."""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from treadle import (
    AlreadyExists,
    ClaimConflict,
    GenerationMismatch,
    NotFound,
    PatchError,
    Store,
    Thread,
    ThreadChangeSet,
    TreadleError,
    VersionConflict,
)
from treadle.core.codec import from_plain, to_plain
from treadle.core.mailboxes import TERMINAL, MailboxEntry
from treadle.testing._harness.call_results import plain
from treadle.testing._harness.dump import Documents
from treadle.testing._harness.json_diff import differences
from treadle.testing.clock import TickingClock

Plain = Any
Handler = Callable[[Store, dict[str, Any]], Awaitable[Plain]]


class Tokens:
    """tirea's names for claim tokens, `$token:N`, and the tokens they stand for here."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._name: dict[str, str] = {}

    def real(self, name: str) -> str:
        """The token to pass where tirea passed `name`."""
        if not name.startswith("$token:"):
            assert name not in self._name, "a token that was never given out is"
            return name
        return self._real[name]

    def matches(self, name: str, token: object) -> bool:
        """Return True if `name` is the name of `token`; the first time it becomes so."""
        if not isinstance(token, str) or not name.startswith("$token:"):
            return False
        if name not in self._real and token not in self._name:
            self._real[name], self._name[token] = token, name
        return self._real.get(name) == token and self._name.get(token) == name


_BESIDE = ("message_times", "_message_times")
"""Fields that tirea does not have, and ignores."""


class Comparison:
    """Compares what Treadle says with what tirea said, to the type and the last digit."""

    def __init__(self, clock: TickingClock) -> None:
        self.tokens = Tokens()
        self._clock = clock

    def differences(self, found: Plain, expected: Plain, *, ordered: bool = False) -> list[str]:
        """List the paths at which the two differ; with `ordered`, the order of keys counts too."""
        found = self._as_recorded(found, expected)
        return list(differences(found, expected, ordered=ordered))

    def _as_recorded(self, found: Plain, expected: Plain) -> Plain:
        """`found`, with `$time` and `$token:N` where tirea has them and they fit."""
        if isinstance(found, dict) and isinstance(expected, dict):
            return {
                key: self._field(key, found[key], expected.get(key))
                for key in found
                if key in expected or key not in _BESIDE
            }
        if isinstance(found, list) and isinstance(expected, list):
            paired = expected + [None] * len(found)
            return [self._as_recorded(*pair) for pair in zip(found, paired, strict=False)]
        return found

    def _field(self, key: str, found: Plain, expected: Plain) -> Plain:
        if key in ("created_at", "updated_at") and expected == "$time":
            return expected if self._clock.has_shown(found) else found
        if key == "claim_token" and isinstance(expected, str):
            return expected if self.tokens.matches(expected, found) else found
        return self._as_recorded(found, expected)


async def replay(store: Store, clock: TickingClock, calls: list[dict[str, Any]]) -> Comparison:
    """Make all calls, and fail if any result is not tirea's."""
    comparison = Comparison(clock)
    wrong: list[str] = []
    for number, line in enumerate(calls, start=1):
        arguments = dict(line["args"])
        if "claim_token" in arguments:
            arguments["claim_token"] = comparison.tokens.real(arguments["claim_token"])
        expected = {"returns": line["returns"]} if "returns" in line else _failure(line)
        try:
            found = {"returns": await CALLS[line["call"]](store, arguments)}
        except TreadleError as error:
            found = _reported(error, expected)
        paths = comparison.differences(found, expected)
        wrong += [f"call {number}, {line['call']}{line['args']}: {path}" for path in paths]
    assert wrong == []
    return comparison


def compare_files(comparison: Comparison, documents: Documents, files: Mapping[str, Plain]) -> None:
    """Fail unless `documents` are tirea's files: names, contents, form, order of keys."""
    found = {path: json.loads(data) for path, data in documents.items()}
    assert comparison.differences(found, dict(files)) == []
    for path, document in found.items():
        assert comparison.differences(document, files[path], ordered=True) == [], path
        assert documents[path].decode() == _printed(document), path


def _printed(document: Plain) -> str:
    """Pretty-printed as tirea does: the exponents of floats in as few signs as can be."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return re.sub(r"(?<=[0-9]e)(\+|(-?)0)(?=[0-9]+,?$)", r"\2", text, flags=re.MULTILINE)


# --- errors ---------------------------------------------------------------------------------------

_MESSAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "NotFound": (r"(?:Thread|mailbox entry) not found: (.*)", ("key",)),
    "AlreadyExists": (r"(?:Thread|mailbox entry) already exists(?:: (.*))?", ("key",)),
    "ClaimConflict": (r"mailbox claim token mismatch for entry: (.*)", ("entry_id",)),
    "VersionConflict": (r".*: expected (\d+), (?:got|actual) (\d+)", ("expected", "actual")),
    "GenerationMismatch": (
        r"mailbox generation mismatch for mailbox '(.*)': expected (\d+), got (\d+)",
        ("mailbox_id", "expected", "actual"),
    ),
}
_KINDS: dict[type[TreadleError], str] = {
    NotFound: "NotFound",
    AlreadyExists: "AlreadyExists",
    ClaimConflict: "ClaimConflict",
    VersionConflict: "VersionConflict",
    GenerationMismatch: "GenerationMismatch",
}


def _failure(line: dict[str, Any]) -> dict[str, Any]:
    """An error of tirea: its kind, and the data in its message."""
    kind, message = line["raises"], line["message"]
    if kind == "State":
        return {"raises": kind, "message": message}
    pattern, names = _MESSAGES[kind]
    match = re.fullmatch(pattern, message, re.DOTALL)
    assert match, message
    data = zip(names, match.groups(), strict=True)
    return {"raises": kind, **{name: item for name, item in data if item is not None}}


def _reported(error: TreadleError, names: Iterable[str]) -> dict[str, Any]:
    """Treadle's error in the same form, with the data that tirea gives: `names`."""
    if isinstance(error, PatchError):
        return {"raises": "State", "message": str(error)}
    kind = _KINDS[type(error)]
    common = [name for name in _MESSAGES[kind][1] if name in names]
    return {"raises": kind, **{name: str(getattr(error, name)) for name in common}}


# --- calls ----------------------------------------------------------------------------------------


def _settle(arguments: dict[str, Any]) -> dict[str, Any]:
    return {("entry" if name == "entry_id" else name): item for name, item in arguments.items()}


def _consumer(arguments: dict[str, Any]) -> dict[str, Any]:
    return {("consumer" if name == "consumer_id" else name): v for name, v in arguments.items()}


async def _create(store: Store, arguments: dict[str, Any]) -> Plain:
    return (await store.threads.create(from_plain(Thread, arguments["thread"]))).version


async def _save(store: Store, arguments: dict[str, Any]) -> Plain:
    await store.threads.save(from_plain(Thread, arguments["thread"]))


async def _append(store: Store, arguments: dict[str, Any]) -> Plain:
    changes = from_plain(ThreadChangeSet, arguments.pop("delta"))
    thread_id = arguments.pop("thread_id")
    return (await store.threads.append(thread_id, changes, **arguments)).version


async def _delete(store: Store, arguments: dict[str, Any]) -> Plain:
    await store.threads.delete(**arguments)


async def _rebuild(store: Store, arguments: dict[str, Any]) -> Plain:
    head = await store.threads.load(**arguments)
    return None if head is None else head.thread.rebuild_state()


async def _load_messages(store: Store, arguments: dict[str, Any]) -> Plain:
    query: dict[str, Any] = {"visibility": None} | arguments
    page = to_plain(await store.threads.list_messages(**query))
    page["messages"] = [{"cursor": m["cursor"], **m["message"]} for m in page["messages"]]
    return page


async def _enqueue(store: Store, arguments: dict[str, Any]) -> Plain:
    await store.mailboxes.enqueue(from_plain(MailboxEntry, arguments["entry"]))


async def _purge(store: Store, arguments: dict[str, Any]) -> Plain:
    return await store.mailboxes.purge(arguments["older_than"], statuses=TERMINAL)


def _calls(
    method: Callable[[Store], Callable[..., Awaitable[Any]]],
    rename: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Handler:
    async def handler(store: Store, arguments: dict[str, Any]) -> Plain:
        return plain(await method(store)(**rename(arguments)))

    return handler


CALLS: dict[str, Handler] = {
    "create": _create,
    "save": _save,
    "append": _append,
    "delete": _delete,
    "rebuild": _rebuild,
    "load_messages": _load_messages,
    "enqueue": _enqueue,
    "load": _calls(lambda store: store.threads.load),
    "list_threads": _calls(lambda store: store.threads.list),
    "load_run": _calls(lambda store: store.runs.load),
    "active_run": _calls(lambda store: store.runs.find_active),
    "claim": _calls(lambda store: store.mailboxes.claim, _consumer),
    "claim_entry": _calls(lambda store: store.mailboxes.claim_entry, _consumer),
    "ack": _calls(lambda store: store.mailboxes.ack, _settle),
    "nack": _calls(lambda store: store.mailboxes.nack, _settle),
    "dead_letter": _calls(lambda store: store.mailboxes.dead_letter, _settle),
    "extend": _calls(lambda store: store.mailboxes.extend_lease, _settle),
    "cancel": _calls(lambda store: store.mailboxes.cancel),
    "supersede": _calls(lambda store: store.mailboxes.supersede),
    "interrupt": _calls(lambda store: store.mailboxes.interrupt),
    "cancel_pending": _calls(lambda store: store.mailboxes.cancel_pending),
    "purge": _purge,
    "ensure": _calls(lambda store: store.mailboxes.ensure),
    "load_entry": _calls(lambda store: store.mailboxes.load_entry),
    "load_state": _calls(lambda store: store.mailboxes.load),
    "list_entries": _calls(lambda store: store.mailboxes.list_entries),
}
