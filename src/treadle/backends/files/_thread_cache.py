"""The rows of threads, without their messages, which are in memory as bytes of documents."""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from treadle.backends.files._cache import RowCache
from treadle.backends.files._thread_document import (
    Labels,
    MessagesOf,
    Step,
    ThreadDocument,
    labeled,
    read_summary,
    read_thread,
    read_written,
)
from treadle.backends.files.disk import Bytes
from treadle.backends.files.documents import Documents
from treadle.backends.model.tables import Put
from treadle.core.codec import decode
from treadle.core.heads import ThreadSummary, summarized
from treadle.core.message_times import MessageTimes, padded, trimmed
from treadle.core.messages import Message, new_messages
from treadle.core.threads import StoredThread, ThreadDelta, ThreadHead, all_history, extended

_AS_VALUES = 2
"""How much more memory messages take as values than as the bytes of a document."""
_EACH = 2_000
"""What a thread takes without messages, in bytes."""
_CHECKSUMS = 10_000
"""How many checksums of evicted threads are kept."""


class ThreadCache(RowCache[StoredThread]):
    """Threads. The least recently used are evicted.

    A row has no messages but those that the current group adds. The others are in the bytes of the
    thread's document, which an append extends; or they are values, after somebody has read them; or
    both. A document is not read for a row that is in memory: it may be ahead of it.

    Args:
        documents: where the documents are.
        put: puts a row into the table.
        budget: about how many bytes of memory are used.
    """

    def __init__(self, documents: Documents, put: Put[StoredThread], budget: int) -> None:
        super().__init__(documents, "threads", put, self._read_thread, limit=0)
        self._budget = budget
        self._total = 0
        self._sizes: dict[str, int] = {}
        """What each thread takes."""
        self._encoded: dict[str, ThreadDocument] = {}
        self._wholes: OrderedDict[str, ThreadHead] = OrderedDict()
        """Committed threads with their messages. The least recently used first."""
        self._checksums: OrderedDict[str, int] = OrderedDict()
        """Checksums of the documents of evicted threads; an unchanged one is not checked again.

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
        document = self._encoded.get(key)
        if document is None or document.count != stored.message_count or key in self._wholes:
            whole = self.whole(key)
            return whole.thread.messages, whole.message_times
        return MessagesOf(document, document.count), document.times

    def _committed(self, key: str) -> ThreadHead:
        whole = self._wholes.get(key)
        if whole is None:
            document = self._encoded[key]
            thread = msgspec.structs.replace(document.head.thread, messages=document.messages())
            whole = msgspec.structs.replace(
                document.head, thread=thread, message_times=document.times
            )
            self._wholes[key] = whole
            self._measure(key)
        self._wholes.move_to_end(key)
        return whole

    def known_messages(self, key: str, count: int, message_ids: Iterable[str]) -> set[str]:
        """Return those of the ids that one of the first `count` messages has.

        They are those that the thread had before the current group, or the first of them.
        """
        return self._committed_document(key).known(message_ids, count) if count else set()

    def _committed_document(self, key: str) -> ThreadDocument:
        document = self._encoded.get(key)
        if document is None:
            document = self._encoded[key] = ThreadDocument(self._wholes[key])
            document.head = self[key].head
            self._measure(key)
        return document

    def document(self, key: str, stored: StoredThread) -> ThreadDocument:
        """Return the document of a thread, which is encoded if it is not in memory."""
        document = self._encoded.get(key)
        if document is None or document.head is not stored.head:
            head = _joined(self._wholes[key], stored) if stored.unloaded else stored.head
            document = self._encoded[key] = ThreadDocument(head)
            document.head = stored.head
        return document

    def advance(self, key: str) -> ThreadDocument:
        """Extend a thread's document by the steps of the group that led to the thread as it is."""
        stored = self[key]
        document, origin = self._encoded.get(key), stored.origin
        if document is None or not isinstance(origin, Written) or document.head is not origin.head:
            return self.document(key, stored)  # it is new, or its bytes are not in memory
        document.append(all_history(stored.history), stored.head)
        return document

    def follow(self, key: str, steps: Sequence[Step]) -> None:
        """Apply the steps that another process has committed, if the thread is in memory."""
        stored = self._rows.get(key)
        if stored is None:
            return
        document = self._committed_document(key)
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
            known = document.known(ids, stored.message_count)
            added = new_messages(changes.messages, known)
            stored = extended(stored, changes, delta.committed_at, added)
            links = () if stored.history is None else (stored.history,)
            document.append(links, stored.head)
        document.append((), stored.head)
        self._rows[key] = stored
        self.mark_written(key)

    def forget(self, key: str, *, present: bool) -> None:
        """Drop a thread that another process has written or removed."""
        super().forget(key, present=present)
        self._drop(key)

    def mark_written(self, key: str) -> None:
        """Note that the document of a thread is written, or removed."""
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
            CorruptRecord: its document is damaged.
        """
        if key in self._rows:
            stored = self._rows[key]
            if stored is None:
                return None
            summary = summarized(stored.head)
            return msgspec.structs.replace(summary, message_count=stored.message_count)
        data = None
        if self._names is None or key in self._names:
            data = self._documents.read("threads", key)
        where = self._documents.where("threads", key)
        return None if data is None else read_summary(key, data, where)

    def _drop(self, key: str) -> None:
        self._encoded.pop(key, None)
        self._wholes.pop(key, None)
        self._total -= self._sizes.pop(key, 0)

    def _measure(self, key: str, size: int | None = None) -> None:
        """Note what a thread takes, whose document has `size` bytes."""
        document = self._encoded.get(key)
        if document is not None:
            size = document.size
        elif size is None:
            size = (self._sizes[key] - _EACH) // _AS_VALUES
        taken = _EACH + size * ((document is not None) + _AS_VALUES * (key in self._wholes))
        self._total += taken - self._sizes.get(key, 0)
        self._sizes[key] = taken

    def _read_thread(self, key: str, data: bytes) -> StoredThread:
        known = self._checksums.pop(key, None)
        if known is not None and known == _checksum([data]):
            return self._read_written(key, data)
        head = read_thread(key, data, self._documents.where("threads", key))
        self._wholes[key] = head
        self._measure(key, len(data))
        return _written(head, len(head.thread.messages))

    def _read_written(self, key: str, data: bytes) -> StoredThread:
        where = self._documents.where("threads", key)
        document = self._encoded[key] = read_written(key, data, where)
        self._measure(key)
        row = _written(document.head, document.count)
        document.head = row.head
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
    """The row of a thread whose document and deltas are written."""
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
