"""The JSON file of a thread: encoded once, extended by what is appended, and cut by truncations."""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, overload

import msgspec

from treadle.backends.files._decoding import decode_model
from treadle.backends.files.disk import Bytes
from treadle.core.codec import Model, decode, encode
from treadle.core.limits import Version
from treadle.core.message_times import MessageTimes, trimmed
from treadle.core.messages import Message
from treadle.core.thread_summaries import ThreadSummary, same_labels
from treadle.core.threads import (
    History,
    Thread,
    ThreadDelta,
    ThreadHead,
    ThreadMetadata,
    appended,
)
from treadle.errors import CorruptRecord

_FIELD = b"\n  "
"""A line end inside the value of a field."""
_ITEM = b"\n    "
"""A line end inside an element of an array."""
_MESSAGES = _FIELD + b'"messages": ['
_BETWEEN = re.compile(b"," + _ITEM + rb"\{")
_ID = re.compile(_ITEM + rb'  "id": ("(?:[^"\\]|\\.)*")')
"""The id of a message, as it is encoded."""
_UNKNOWN = -1
_TIMES = "_message_times"
_GROWING = ("_version", "messages", "metadata", "patches", "state")
"""The fields of the JSON that are not labels, in their order, after its times."""


class VersionedThread(Thread, frozen=True, kw_only=True):
    """The JSON file of a thread: the thread, with its version and the times of its messages."""

    version: Version = msgspec.field(default=0, name="_version")
    message_times: MessageTimes = msgspec.field(default=(), name=_TIMES)


class _Messages(Model, frozen=True, kw_only=True):
    """The messages of a thread."""

    messages: tuple[Message, ...]


class Labels(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an update of a thread at `version` left as its labels."""

    version: Version
    metadata: msgspec.Raw
    resource_id: str | None = None
    parent_thread_id: str | None = None


Step: TypeAlias = msgspec.Raw | Labels
"""What leads from a thread to the next one: an encoded delta, or its labels after an update."""


class _Summary(msgspec.Struct, frozen=True):
    """The parts of a JSON file that a summary needs; messages are counted, and not decoded."""

    id: str
    resource_id: str | None = None
    parent_thread_id: str | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    messages: tuple[msgspec.Raw, ...] = ()
    version: Version = msgspec.field(default=0, name="_version")


class _EncodedMessages(msgspec.Struct, frozen=True):
    """The parts of a JSON file that a look at the messages needs."""

    messages: tuple[msgspec.Raw, ...] = ()
    times: MessageTimes = msgspec.field(default=(), name=_TIMES)


def read_thread(key: str, data: Bytes, where: str) -> ThreadHead:
    """Read the thread from a JSON file.

    Args:
        where: the JSON file's path, for errors.

    Raises:
        CorruptRecord: it is not a thread, or one with another id.
    """
    found = decode_model(VersionedThread, bytes(data), where)
    if found.id != key:
        raise CorruptRecord(where, f"it holds the thread {found.id!r}")
    thread = _thread_of(found)
    times = trimmed(found.message_times[: len(thread.messages)])
    return ThreadHead(thread=thread, version=found.version, message_times=times)


def _thread_of(found: VersionedThread) -> Thread:
    return Thread(**{name: getattr(found, name) for name in Thread.__struct_fields__})


def read_summary(key: str, data: Bytes, where: str) -> ThreadSummary:
    """Read the summary of a thread from its JSON file.

    Raises:
        CorruptRecord: it is not a thread, or one with another id.
    """
    try:
        found = msgspec.json.decode(data, type=_Summary)
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(where, str(error)) from error
    if found.id != key:
        raise CorruptRecord(where, f"it holds the thread {found.id!r}")
    return ThreadSummary(
        id=key,
        resource_id=found.resource_id,
        parent_thread_id=found.parent_thread_id,
        metadata=decode_model(ThreadMetadata, bytes(found.metadata), where),
        version=found.version,
        message_count=len(found.messages),
    )


def read_messages(data: Bytes, where: str) -> tuple[Sequence[Message], MessageTimes]:
    """Read the messages from a JSON file, each when it is asked for, and their times.

    Raises:
        CorruptRecord: it is not a thread; also when a message is asked for that is damaged.
    """
    try:
        found = msgspec.json.decode(data, type=_EncodedMessages)
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(where, str(error)) from error
    encoded = found.messages

    def decoded(position: int) -> Message:
        return decode_model(Message, bytes(encoded[position]), where)

    return LazyMessages(decoded, len(encoded)), found.times


def labels_of(head: ThreadHead) -> Labels:
    """Return the labels of a thread."""
    thread = head.thread
    metadata = msgspec.Raw(encode(thread.metadata))
    return Labels(head.version, metadata, thread.resource_id, thread.parent_thread_id)


def advance(head: ThreadHead, steps: Iterable[Step]) -> ThreadHead:
    """Return the thread after some steps; those that it has already are skipped."""
    for step in steps:
        if isinstance(step, Labels):
            head = labeled(head, step)
            continue
        delta = decode(ThreadDelta, bytes(step))
        if delta.version > head.version:
            head = appended(head, delta.changes, delta.committed_at)
    return head


def labeled(head: ThreadHead, labels: Labels) -> ThreadHead:
    """Return the thread after an update of its labels, unless it has it already."""
    if labels.version < head.version:
        return head
    thread = msgspec.structs.replace(
        head.thread,
        resource_id=labels.resource_id,
        parent_thread_id=labels.parent_thread_id,
        metadata=decode(ThreadMetadata, bytes(labels.metadata)),
    )
    return msgspec.structs.replace(head, thread=thread)


class EncodedThread:
    """The bytes of a thread's JSON file, so that a change need not encode the whole thread."""

    def __init__(self, head: ThreadHead) -> None:
        thread = head.thread
        self.head = head
        self._messages = bytearray()
        self._ends = array("Q")
        """The end of each message in these bytes."""
        self._add_messages(map(encode, thread.messages))
        self._times = array("q", map(_stored_time, head.message_times))
        """When messages were committed, as `MessageTimes` has it."""
        self._times_text = bytearray()
        """The same as JSON, open at its end; empty if it has to be made."""
        self._hashes: bytearray | None = None
        """Hashes of the ids of all messages, once somebody has asked for an id before."""
        self._was_asked = False
        self._patches = bytearray()
        _extend(self._patches, map(encode, thread.patches))
        self._state = _lay_out(_encode(thread.state), _FIELD)
        self._labels = _lay_out_labels(thread)
        self._frame: tuple[bytes, ...] = ()
        """What is around the fields that grow; empty if it has to be made."""

    def take_messages(self, encoded: bytes, times: MessageTimes) -> None:
        """Take messages as they were encoded, in place of none."""
        self._messages += encoded
        self._ends.extend(match.start() for match in _BETWEEN.finditer(encoded))
        if encoded:
            self._ends.append(len(encoded))
        self._times.extend(map(_stored_time, times))

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self._ends)

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return len(self._messages) + len(self._patches) + len(self._state)

    @property
    def times(self) -> MessageTimes:
        """When each message was committed."""
        times = self._times.tolist()
        if _UNKNOWN in times:
            return tuple(None if time == _UNKNOWN else time for time in times)
        return tuple(times)

    def messages(self) -> tuple[Message, ...]:
        """Return the messages, which are decoded."""
        if not self._messages:
            return ()
        return decode(_Messages, b'{"messages":%b]}' % bytes(self._messages)).messages

    def message(self, position: int) -> Message:
        """Return the message at a position."""
        start = self._ends[position - 1] + 1 if position else 1
        return decode(Message, bytes(self._messages[start : self._ends[position]]))

    def known(self, message_ids: Iterable[str], count: int) -> set[str]:
        """Return those of the ids that one of the first `count` messages has."""
        end = self._ends[count - 1] if count else 0
        return {each for each in message_ids if self._has(_encode(each), end)}

    def _has(self, message_id: bytes, end: int) -> bool:
        """Return True if a message before byte `end` has an id."""
        if self._was_asked and self._hashes is None:
            self._hashes = bytearray(b"".join(map(_hash_of, _ID.findall(self._messages))))
        self._was_asked = True
        if self._hashes is not None and _hash_of(message_id) not in self._hashes:
            return False
        # Strings have no line ends, and other objects begin further to the right.
        return self._messages.find(_ITEM + b'  "id": ' + message_id, 0, end) >= 0

    def append(self, links: Iterable[History], head: ThreadHead) -> None:
        """Extend the JSON by the steps that led from its head to `head`.

        Updates of its labels may lie between, too.
        """
        for link in links:
            changes = link.delta.changes
            if changes.truncated_to is not None and changes.truncated_to < len(self._ends):
                self._cut_messages(changes.truncated_to)
            if link.added:
                self._append_messages(link.added, link.delta.committed_at)
            if changes.snapshot is not None:
                self._state = _lay_out(_encode(changes.snapshot), _FIELD)
                self._patches.clear()
            if changes.patches:
                _extend(self._patches, map(encode, changes.patches))
        if not same_labels(head.thread, self.head.thread):
            self._labels = _lay_out_labels(head.thread)
            self._frame = ()
        self.head = head

    def _append_messages(self, messages: Sequence[Message], time: int) -> None:
        unknown = len(self._ends) - len(self._times)
        if unknown:
            self._times.extend([_UNKNOWN] * unknown)
            self._times_text.clear()
        self._times.extend([time] * len(messages))
        if self._times_text:
            self._times_text += b",%d" % time * len(messages)
        self._add_messages([encode(message) for message in messages])
        if self._hashes is not None:
            for message in messages:
                if message.id is not None:
                    self._hashes += _hash_of(_encode(message.id))

    def _add_messages(self, messages: Iterable[Bytes]) -> None:
        array, ends = self._messages, self._ends
        for message in messages:
            array += b",\n    " if array else b"[\n    "
            array += _lay_out(message, _ITEM)
            ends.append(len(array))

    def _cut_messages(self, kept: int) -> None:
        del self._ends[kept:]
        del self._times[kept:]
        while self._times and self._times[-1] == _UNKNOWN:
            self._times.pop()
        self._times_text.clear()
        self._hashes = None
        del self._messages[self._ends[-1] if kept else 0 :]

    def parts(self) -> list[Bytes]:
        """Return the JSON in parts, to be written one after the other."""
        has_times = bool(self._times)
        if len(self._frame) != len(_GROWING) + has_times + 1:
            self._frame = _lay_out_around(self._labels, has_times=has_times)
        *before_version, before_messages, before_metadata, before_patches, before_state, end = (
            self._frame
        )
        version, messages, patches = b"%d" % self.head.version, self._messages, self._patches
        metadata = _lay_out(encode(self.head.thread.metadata), _FIELD)
        start = self._encoded_times().join(before_version) if has_times else before_version[0]
        return [
            b"".join((start, version, before_messages)),
            messages or b"[",
            b"".join((_end_of(messages), before_metadata, metadata, before_patches)),
            patches or b"[",
            _end_of(patches) + before_state,
            self._state,
            end,
        ]

    def _encoded_times(self) -> bytes:
        """Return the times as JSON."""
        if not self._times_text:
            self._times_text += msgspec.json.encode(self.times)[:-1]
        return bytes(self._times_text) + b"]"


class LazyMessages(Sequence[Message]):
    """Messages of a thread, each decoded when it is first asked for.

    Args:
        decoded: returns the message at a position.
        count: how many there are.
    """

    def __init__(self, decoded: Callable[[int], Message], count: int) -> None:
        self._decoded = decoded
        self._positions = range(count)
        self._found: dict[int, Message] = {}

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, at: int) -> Message: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Message, ...]: ...

    def __getitem__(self, at: int | slice) -> Message | tuple[Message, ...]:
        if isinstance(at, slice):
            return tuple(self[position] for position in self._positions[at])
        position = self._positions[at]
        if position not in self._found:
            self._found[position] = self._decoded(position)
        return self._found[position]


def read_written(key: str, data: bytes, where: str) -> EncodedThread:
    """Return a thread that this process has written; its messages are not decoded.

    Raises:
        CorruptRecord: it is not a thread, or one with another id.
    """
    start = data.index(_MESSAGES) + len(_MESSAGES)
    end = data.index(_FIELD + b"]", start) if data.startswith(_FIELD, start) else start
    found = decode_model(VersionedThread, data[:start] + data[end:], where)
    if found.id != key:
        raise CorruptRecord(where, f"it holds the thread {found.id!r}")
    encoded = EncodedThread(ThreadHead(thread=_thread_of(found), version=found.version))
    encoded.take_messages(data[start - 1 : end] if end > start else b"", found.message_times)
    return encoded


def _lay_out_labels(thread: Thread) -> dict[str, bytes]:
    return {name: _lay_out(_encode(item), _FIELD) for name, item in _unappended(thread)}


def _lay_out_around(labels: dict[str, bytes], *, has_times: bool) -> tuple[bytes, ...]:
    """Return what stands before each field that grows, and after the last."""
    names = {*labels, *_GROWING, _TIMES} if has_times else {*labels, *_GROWING}
    around = [b"{\n  "]
    for number, name in enumerate(sorted(names)):
        around[-1] += (b",\n  " if number else b"") + msgspec.json.encode(name) + b": "
        if name in labels:
            around[-1] += labels[name]
        else:
            around.append(b"")
    around[-1] += b"\n}"
    return tuple(around)


def _end_of(array: bytearray) -> bytes:
    return b"\n  ]" if array else b"]"


def _unappended(thread: Thread) -> Iterator[tuple[str, object]]:
    """Yield the fields that no append changes."""
    yield "id", thread.id
    yield from thread.extra.items()
    if thread.parent_thread_id is not None:
        yield "parent_thread_id", thread.parent_thread_id
    if thread.resource_id is not None:
        yield "resource_id", thread.resource_id


def _stored_time(time: int | None) -> int:
    return _UNKNOWN if time is None else time


def _hash_of(message_id: bytes) -> bytes:
    return hash(message_id).to_bytes(8, "little", signed=True)


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
