"""The document of a thread: encoded once, and extended by what is appended."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from treadle.backends.files._decoding import decode_model
from treadle.backends.files.disk import Bytes
from treadle.core.codec import decode, encode
from treadle.core.limits import Version
from treadle.core.threads import Thread, ThreadDelta, ThreadHead, appended
from treadle.errors import CorruptRecord

_FIELD = b"\n  "
"""A line end inside the value of a field."""
_ITEM = b"\n    "
"""A line end inside an element of an array."""


class VersionedThread(Thread, frozen=True, kw_only=True):
    """A thread document: the thread, with its version among its fields."""

    version: Version = msgspec.field(default=0, name="_version")


class Labels(msgspec.Struct, frozen=True):
    """The fields that listings of threads filter by."""

    resource_id: str | None = None
    parent_thread_id: str | None = None


class _Changes(msgspec.Struct, frozen=True):
    """The parts of a change set that a document keeps, as they are encoded in its delta."""

    messages: tuple[msgspec.Raw, ...] = ()
    patches: tuple[msgspec.Raw, ...] = ()
    snapshot: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct, frozen=True):
    changes: _Changes


_delta_decoder = msgspec.json.Decoder(_Delta)


def read_thread(key: str, data: Bytes, where: str) -> ThreadHead:
    """Read the thread from a document.

    Args:
        where: the document's path, for errors.

    Raises:
        CorruptRecord: it is no thread, or one with another id.
    """
    found = decode_model(VersionedThread, bytes(data), where)
    if found.id != key:
        raise CorruptRecord(where, f"it holds the thread {found.id!r}")
    fields = {name: getattr(found, name) for name in Thread.__struct_fields__}
    return ThreadHead(thread=Thread(**fields), version=found.version)


def advance(head: ThreadHead, deltas: Iterable[msgspec.Raw]) -> ThreadHead:
    """Return the thread after encoded deltas; those that it has already are skipped."""
    for raw in deltas:
        delta = decode(ThreadDelta, bytes(raw))
        if delta.version > head.version:
            head = appended(head, delta.changes, delta.committed_at)
    return head


class ThreadDocument:
    """The bytes of a thread's document, so that an append need not encode the whole thread."""

    def __init__(self, head: ThreadHead) -> None:
        thread = head.thread
        self.head = head
        self._messages = bytearray()
        _extend(self._messages, map(encode, thread.messages))
        self._patches = bytearray()
        _extend(self._patches, map(encode, thread.patches))
        self._state = _lay_out(_encode(thread.state), _FIELD)
        self._constant = {name: _lay_out(_encode(item), _FIELD) for name, item in _constant(thread)}

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return len(self._messages) + len(self._patches) + len(self._state)

    def append(self, deltas: Sequence[msgspec.Raw], head: ThreadHead) -> None:
        """Extend the document by encoded deltas, which led from its head to `head`."""
        messages: list[Bytes | msgspec.Raw] = []
        for delta in deltas:
            changes = _delta_decoder.decode(delta).changes
            messages += changes.messages
            if bytes(changes.snapshot):
                self._state = _lay_out(changes.snapshot, _FIELD)
                self._patches.clear()
            if changes.patches:
                _extend(self._patches, changes.patches)
        added = head.thread.messages[len(self.head.thread.messages) :]
        if len(messages) != len(added):  # some were skipped, because the thread had their ids
            messages = list(map(encode, added))
        _extend(self._messages, messages)
        self.head = head

    def parts(self) -> list[Bytes]:
        """Return the document in parts, to be written one after the other."""
        fields: dict[str, Bytes] = {
            **self._constant,
            "_version": b"%d" % self.head.version,
            "messages": self._messages,
            "metadata": _lay_out(encode(self.head.thread.metadata), _FIELD),
            "patches": self._patches,
            "state": self._state,
        }
        parts: list[Bytes] = []
        opening = b"{\n  "
        for name in sorted(fields):
            parts += (opening + msgspec.json.encode(name) + b": ", fields[name] or b"[")
            if name in ("messages", "patches"):
                parts.append(b"\n  ]" if fields[name] else b"]")
            opening = b",\n  "
        parts.append(b"\n}")
        return parts


def _constant(thread: Thread) -> Iterator[tuple[str, object]]:
    """Yield the fields that no append changes."""
    yield "id", thread.id
    yield from thread.extra.items()
    if thread.parent_thread_id is not None:
        yield "parent_thread_id", thread.parent_thread_id
    if thread.resource_id is not None:
        yield "resource_id", thread.resource_id


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _extend(array: bytearray, models: Iterable[Bytes | msgspec.Raw]) -> None:
    """Add encoded models to an array, which is empty or open at its end."""
    for model in models:
        array += b",\n    " if array else b"[\n    "
        array += _lay_out(model, _ITEM)


def _lay_out(data: Bytes | msgspec.Raw, newline: bytes) -> bytes:
    # JSON escapes line ends inside strings, so each one in the data belongs to its layout.
    return msgspec.json.format(data, indent=2).replace(b"\n", newline)
