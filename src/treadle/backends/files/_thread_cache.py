"""The rows of threads, without their messages, which are in memory as bytes of JSON."""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from treadle.backends.files._cache import RowCache
from treadle.backends.files._encoded_thread import (
    EncodedThread,
    Labels,
    LazyMessages,
    Step,
    labeled,
    read_messages,
    read_summary,
    read_thread,
    read_written,
)
from treadle.backends.files.disk import Bytes
from treadle.backends.files.json_files import JsonFiles
from treadle.backends.model.tables import Put
from treadle.core.codec import decode
from treadle.core.message_times import MessageTimes, padded, trimmed
from treadle.core.messages import Message, new_messages
from treadle.core.thread_summaries import ThreadSummary, summarized
from treadle.core.threads import StoredThread, ThreadDelta, ThreadHead, all_history, extended

_AS_VALUES = 2
"""How much more memory messages take as values than as the bytes of a JSON file."""
_EACH = 2_000
"""What a thread takes without messages, in bytes."""
_CHECKSUMS = 10_000
"""How many checksums of evicted threads are kept."""


class ThreadCache(RowCache[StoredThread]):
    """Threads. The least recently used are evicted.

    A row has no messages but those that the current group adds. The others are in the bytes of the
    thread's JSON file, which an append extends; or they are values, after somebody has read them;
    or both. A JSON file is not read for a row that is in memory: it may be ahead of it.

    Args:
        files: the JSON files of the store.
        put: puts a row into the table.
        budget: about how many bytes of memory are used.
    """

    def __init__(self, files: JsonFiles, put: Put[StoredThread], budget: int) -> None:
        super().__init__(files, "threads", put, self._read_thread, limit=0)
        self._budget = budget
        self._total = 0
        self._sizes: dict[str, int] = {}
        """What each thread takes."""
        self._encoded: dict[str, EncodedThread] = {}
        self._wholes: OrderedDict[str, ThreadHead] = OrderedDict()
        """Committed threads with their messages. The least recently used first."""
        self._checksums: OrderedDict[str, int] = OrderedDict()
        """Checksums of the JSON files of evicted threads; an unchanged one is not checked again.

        The thread that was evicted first is the first.
        """

    def whole(self, key: str) -> ThreadHead:
        """Return a thread with all its messages, those of the current group included."""
        stored = self[key]
        if not stored.unloaded:
            return stored.head
        return _joined(self._committed(key), stored)

    def messages(self, key: str) -> tuple[Sequence[Message], MessageTimes]:
        """Return the messages of a thread between groups, and their times; few are decoded."""
        stored = self[key]
        encoded = self._encoded.get(key)
        if encoded is None or encoded.count != stored.message_count or key in self._wholes:
            whole = self.whole(key)
            return whole.thread.messages, whole.message_times
        return LazyMessages(encoded.message, encoded.count), encoded.times

    def look_at_messages(self, key: str) -> tuple[Sequence[Message], MessageTimes]:
        """Do what `messages` does, but keep in memory no thread that is not there.

        Raises:
            CorruptRecord: its JSON file is damaged; a message, when that is looked at.
        """
        if key in self._rows:
            return self.messages(key)
        data = self._files.read("threads", key)
        if data is None:  # another program has removed it
            return (), ()
        return read_messages(data, self._files.where("threads", key))

    def _committed(self, key: str) -> ThreadHead:
        whole = self._wholes.get(key)
        if whole is None:
            encoded = self._encoded[key]
            thread = msgspec.structs.replace(encoded.head.thread, messages=encoded.messages())
            whole = msgspec.structs.replace(
                encoded.head, thread=thread, message_times=encoded.times
            )
            self._wholes[key] = whole
            self._measure(key)
        self._wholes.move_to_end(key)
        return whole

    def known_messages(self, key: str, count: int, message_ids: Iterable[str]) -> set[str]:
        """Return those of the ids that one of the first `count` messages has.

        They are those that the thread had before the current group, or the first of them.
        """
        return self._encoded_committed(key).known(message_ids, count) if count else set()

    def _encoded_committed(self, key: str) -> EncodedThread:
        encoded = self._encoded.get(key)
        if encoded is None:
            encoded = self._encoded[key] = EncodedThread(self._wholes[key])
            encoded.head = self[key].head
            self._measure(key)
        return encoded

    def encoded(self, key: str, stored: StoredThread) -> EncodedThread:
        """Return the bytes of a thread, which is encoded if they are not in memory."""
        encoded = self._encoded.get(key)
        if encoded is None or encoded.head is not stored.head:
            head = _joined(self._wholes[key], stored) if stored.unloaded else stored.head
            encoded = self._encoded[key] = EncodedThread(head)
            encoded.head = stored.head
        return encoded

    def advance(self, key: str) -> EncodedThread:
        """Extend a thread's bytes by the steps of the group that led to the thread as it is."""
        stored = self[key]
        encoded, origin = self._encoded.get(key), stored.origin
        if encoded is None or not isinstance(origin, Written) or encoded.head is not origin.head:
            return self.encoded(key, stored)  # it is new, or its bytes are not in memory
        encoded.append(all_history(stored.history), stored.head)
        return encoded

    def follow(self, key: str, steps: Sequence[Step]) -> None:
        """Apply the steps that another process has committed, if the thread is in memory."""
        stored = self._rows.get(key)
        if stored is None:
            return
        encoded = self._encoded_committed(key)
        for step in steps:
            if isinstance(step, Labels):
                head = labeled(stored.head, step)
                stored = msgspec.structs.replace(stored, head=head)
                continue
            delta = decode(ThreadDelta, bytes(step))
            if delta.version <= stored.head.version:
                continue
            changes = delta.changes
            ids = [message.id for message in changes.messages if message.id is not None]
            known = encoded.known(ids, stored.message_count)
            added = new_messages(changes.messages, known)
            stored = extended(stored, changes, delta.committed_at, added)
            links = () if stored.history is None else (stored.history,)
            encoded.append(links, stored.head)
        encoded.append((), stored.head)
        self._rows[key] = stored
        self.mark_written(key)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a thread that another process has written or removed."""
        super().forget(key, present=present)
        self._drop(key)

    def mark_written(self, key: str) -> None:
        """Note that the JSON file of a thread is written, or removed."""
        stored = self._rows.get(key)
        if stored is None:
            self._rows.pop(key, None)
            self._drop(key)
            return
        if key in self._wholes:
            self._wholes[key] = _joined(self._wholes[key], stored)
        self._rows[key] = written = _written(stored.head, stored.message_count)
        if key in self._encoded:
            self._encoded[key].head = written.head
        self._measure(key)

    def evict(self) -> None:
        """Drop what was used least recently, above the budget. Call it between batches only."""
        for key in [*self._wholes][:-1]:  # that of the last reader stays, however large it is
            if self._total <= self._budget:
                return
            if key in self._encoded:
                del self._wholes[key]
                self._measure(key)
        while self._total > self._budget and len(self._rows) > 1:
            oldest, _ = self._rows.popitem(last=False)
            if oldest in self._encoded:
                self._checksums[oldest] = _checksum(self._encoded[oldest].parts())
            self._drop(oldest)
        while len(self._checksums) > _CHECKSUMS:
            self._checksums.popitem(last=False)

    def summary(self, key: str) -> ThreadSummary | None:
        """Return the summary of a thread; one that is not in memory is read without its messages.

        Raises:
            CorruptRecord: its JSON file is damaged.
        """
        if key in self._rows:
            stored = self._rows[key]
            if stored is None:
                return None
            summary = summarized(stored.head)
            return msgspec.structs.replace(summary, message_count=stored.message_count)
        data = None
        if self._names is None or key in self._names:
            data = self._files.read("threads", key)
        where = self._files.where("threads", key)
        return None if data is None else read_summary(key, data, where)

    def _drop(self, key: str) -> None:
        self._encoded.pop(key, None)
        self._wholes.pop(key, None)
        self._total -= self._sizes.pop(key, 0)

    def _measure(self, key: str, size: int | None = None) -> None:
        """Note what a thread takes, whose bytes are `size`."""
        encoded = self._encoded.get(key)
        if encoded is not None:
            size = encoded.size
        elif size is None:
            size = (self._sizes[key] - _EACH) // _AS_VALUES
        taken = _EACH + size * ((encoded is not None) + _AS_VALUES * (key in self._wholes))
        self._total += taken - self._sizes.get(key, 0)
        self._sizes[key] = taken

    def _read_thread(self, key: str, data: bytes) -> StoredThread:
        known = self._checksums.pop(key, None)
        if known is not None and known == _checksum([data]):
            return self._read_written(key, data)
        head = read_thread(key, data, self._files.where("threads", key))
        self._wholes[key] = head
        self._measure(key, len(data))
        return _written(head, len(head.thread.messages))

    def _read_written(self, key: str, data: bytes) -> StoredThread:
        where = self._files.where("threads", key)
        encoded = self._encoded[key] = read_written(key, data, where)
        self._measure(key)
        row = _written(encoded.head, encoded.count)
        encoded.head = row.head
        return row


class Written(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The origin of a row whose deltas are in a file: the thread to which they led."""

    head: ThreadHead
    """Without messages."""
    count: int
    """How many messages it has."""


def _checksum(parts: Iterable[Bytes]) -> int:
    size = checksum = 0
    for part in parts:
        size, checksum = size + len(part), zlib.crc32(part, checksum)
    return size << 32 | checksum


def _written(head: ThreadHead, count: int) -> StoredThread:
    """The row of a thread whose JSON file and deltas are written."""
    thread = msgspec.structs.replace(head.thread, messages=())
    head = msgspec.structs.replace(head, thread=thread, message_times=())
    return StoredThread(head, origin=Written(head, count), unloaded=count)


def _joined(committed: ThreadHead, stored: StoredThread) -> ThreadHead:
    """The thread in a row, with those messages of the committed one that are not in the row."""
    head, kept = stored.head, stored.unloaded
    messages: tuple[Message, ...] = committed.thread.messages[:kept] + head.thread.messages
    times = padded(committed.message_times, kept) + head.message_times
    thread = msgspec.structs.replace(head.thread, messages=messages)
    return msgspec.structs.replace(head, thread=thread, message_times=trimmed(times))
