"""The elements of a JSON array, cut out of a stream of any length.

Only brackets and quotes are looked at: what is inside an element is for its reader. So an element
that is no JSON harms itself only, and memory holds one element at a time.
"""

import re
from collections.abc import Iterable, Iterator

from treadle.errors import InvalidValue

# A match goes up to the next bracket, or to the end of the data, over all texts. There a text may
# be open, even between a backslash and its character. Possessive quantifiers keep this linear.
_TOKEN = re.compile(
    rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+'
    rb'(?:(?P<bracket>[{}\[\]])|(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+)(?P<backslash>\\?)\Z|\Z)',
    re.DOTALL,
)
_REST_OF_TEXT = re.compile(
    rb'[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|(?P<open>(?P<backslash>\\?)\Z))', re.DOTALL
)
_OPENING = b"{["
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def split_array(chunks: Iterable[bytes], limit: int) -> Iterator[bytes | InvalidValue]:
    """Yield each element of the array in a stream, or the reason why it cannot be read.

    Args:
        chunks: the bytes of the stream.
        limit: the largest element, in bytes; a larger one is skipped.

    Raises:
        InvalidValue: the stream is not an array.
    """
    splitter = _Splitter(limit)
    for number, chunk in enumerate(chunks):
        yield from splitter.feed(chunk if number else chunk.removeprefix(_BYTE_ORDER_MARK))
    yield from splitter.end()


class _Splitter:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._has_begun = False
        self._has_ended = False
        self._is_followed = False
        self._depth = 0
        self._is_in_text = False
        self._backslash = b""
        """A backslash at the end of the last chunk: its character is in the next one."""
        self._pieces: list[bytes] = []
        """What has been read of an element, or of what is between two."""
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | InvalidValue]:
        """Yield the elements that end in this chunk."""
        if self._has_ended:
            self._is_followed |= bool(chunk.strip())
            return
        data, self._backslash = self._backslash + chunk, b""
        begin = 0
        if not self._has_begun:
            begin = self._begin(data)
        at = self._end_of_text(data) if self._is_in_text else begin
        for token in () if self._is_in_text else _TOKEN.finditer(data, at):
            if token["bracket"] is None:
                self._is_in_text = token["text"] is not None
                self._backslash = token["backslash"] or b""
                break
            bracket = token.end() - 1
            if data[bracket] in _OPENING:
                if self._depth == 1:
                    yield from self._take_between(data[begin:bracket])
                    begin = bracket
                self._depth += 1
                continue
            self._depth -= 1
            if self._depth == 1:
                yield self._take(data[begin : bracket + 1])
                begin = bracket + 1
            elif self._depth == 0:
                yield from self._take_between(data[begin:bracket])
                self._has_ended = True
                self._is_followed = bool(data[bracket + 1 :].strip())
                return
        self._keep(data[begin : len(data) - len(self._backslash)])

    def end(self) -> Iterator[InvalidValue]:
        """Yield what is wrong with the end of the stream."""
        if not self._has_begun:
            raise InvalidValue("source", "it is empty; a list of conversations was expected")
        if not self._has_ended:
            yield InvalidValue(
                "conversation", "the file ends before the list of conversations does"
            )
        elif self._is_followed:
            yield InvalidValue("conversation", "something follows the list of conversations")

    def _begin(self, data: bytes) -> int:
        """Return where the first element begins."""
        stripped = data.lstrip()
        if not stripped:
            return len(data)
        if not stripped.startswith(b"["):
            raise InvalidValue("source", "it is not a list of conversations, as JSON")
        self._has_begun = True
        self._depth = 1
        return len(data) - len(stripped) + 1

    def _end_of_text(self, data: bytes) -> int:
        found = _REST_OF_TEXT.match(data)
        assert found is not None  # noqa: S101 — it ends at a quote, or with the data
        self._is_in_text = found["open"] is not None
        self._backslash = found["backslash"] or b""
        return found.end()

    def _take_between(self, last: bytes) -> Iterator[bytes | InvalidValue]:
        """Yield what is between two elements, if it is more than a comma."""
        between = self._take(last)
        if isinstance(between, InvalidValue):
            yield between
        elif value := between.strip(b", \t\r\n"):
            yield value

    def _take(self, last: bytes) -> bytes | InvalidValue:
        self._keep(last)
        size = self._size
        whole = self._join()
        if size > self._limit:
            return InvalidValue(
                "conversation", f"it has {size:,} bytes; {self._limit:,} are read at most"
            )
        return whole

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces.clear()
        elif piece:
            self._pieces.append(piece)

    def _join(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return whole
