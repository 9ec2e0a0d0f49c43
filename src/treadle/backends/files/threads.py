"""Thread documents: grown by what is new, so that an append does not encode the whole again."""

from collections.abc import Iterable, Mapping

import msgspec

from treadle.backends.files.disk import Bytes
from treadle.core.codec import SortedModel, decode, encode, encode_compact
from treadle.core.messages import Message
from treadle.core.patches import TrackedPatch
from treadle.core.threads import Thread, ThreadHead
from treadle.errors import CorruptRecord

_ITEM = b"\n    "
_NEXT = b",\n    "


class VersionedThread(Thread, frozen=True, kw_only=True):
    """A thread document as it lies on disk: the thread and its version on one level."""

    version: int = msgspec.field(default=0, name="_version")


class Labels(msgspec.Struct, frozen=True):
    """What listings of threads filter by."""

    resource_id: str | None = None
    parent_thread_id: str | None = None


def read_thread(key: str, data: bytes, where: str) -> ThreadHead:
    """The thread in a document.

    Raises:
        CorruptRecord: it is none, or another one's.
    """
    try:
        found = decode(VersionedThread, data)
    except CorruptRecord as error:
        raise CorruptRecord(where, error.reason) from error
    if found.id != key:
        raise CorruptRecord(where, f"it holds the thread {found.id!r}")
    fields = {name: getattr(found, name) for name in Thread.__struct_fields__}
    return ThreadHead(thread=Thread(**fields), version=found.version)


class ThreadDocument:
    """The bytes of a thread's document, kept with the thread they stand for."""

    def __init__(self, head: ThreadHead) -> None:
        self.head = head
        self._messages = bytearray(_NEXT.join(map(_item, head.thread.messages)))
        self._patches = bytearray(_NEXT.join(map(_item, head.thread.patches)))
        self._state = _value(head.thread.state)

    @property
    def size(self) -> int:
        """About how many bytes it is."""
        return len(self._messages) + len(self._patches) + len(self._state)

    def follow(self, head: ThreadHead) -> None:
        """Become the document of `head`, which is the same thread later on."""
        before, thread = self.head.thread, head.thread
        if not _grow(self._messages, before.messages, thread.messages):
            self._messages = bytearray(_NEXT.join(map(_item, thread.messages)))
        if not _grow(self._patches, before.patches, thread.patches):
            self._patches = bytearray(_NEXT.join(map(_item, thread.patches)))
        if thread.state is not before.state:
            self._state = _value(thread.state)
        self.head = head

    def parts(self) -> list[Bytes]:
        """The document, in pieces to be written one after the other."""
        thread = self.head.thread
        fields: dict[str, Iterable[Bytes]] = {
            **{name: [_value(value)] for name, value in thread.extra.items()},
            "_version": [b"%d" % self.head.version],
            "id": [_value(thread.id)],
            "messages": _array(self._messages),
            "metadata": [_indent(encode(thread.metadata), b"\n  ")],
            "patches": _array(self._patches),
            "state": [self._state],
        }
        if thread.parent_thread_id is not None:
            fields["parent_thread_id"] = [_value(thread.parent_thread_id)]
        if thread.resource_id is not None:
            fields["resource_id"] = [_value(thread.resource_id)]
        return _object(fields)


def _grow(
    items: bytearray,
    before: tuple[Message, ...] | tuple[TrackedPatch, ...],
    after: tuple[Message, ...] | tuple[TrackedPatch, ...],
) -> bool:
    """Add the bytes of what is new to those of what was there; False if it is not only new."""
    if after is before:
        return True
    if after[: len(before)] != before:
        return False
    for model in after[len(before) :]:
        if items:
            items += _NEXT
        items += _item(model)
    return True


def _object(fields: Mapping[str, Iterable[Bytes]]) -> list[Bytes]:
    parts: list[Bytes] = []
    opening = b"{\n  "
    for name in sorted(fields):
        parts.append(opening + msgspec.json.encode(name) + b": ")
        parts.extend(fields[name])
        opening = b",\n  "
    parts.append(b"\n}")
    return parts


def _array(items: bytearray) -> list[Bytes]:
    return [b"[", _ITEM, items, b"\n  ]"] if items else [b"[]"]


def _item(model: SortedModel) -> bytes:
    return _indent(msgspec.json.format(encode_compact(model), indent=2), _ITEM)


def _value(value: object) -> bytes:
    data = msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2)
    return _indent(data, b"\n  ")


def _indent(data: bytes, newline: bytes) -> bytes:
    # JSON escapes line ends inside texts, so each one in the data is one of its layout
    return data.replace(b"\n", newline)
