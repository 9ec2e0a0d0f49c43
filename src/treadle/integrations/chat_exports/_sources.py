"""The file of an export, a zip archive or what is in it, read in a stream."""

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from treadle.errors import InvalidValue
from treadle.integrations.chat_exports._elements import split_array

CONVERSATION_BYTES = 64 << 20
"""Largest conversation, in bytes of JSON. Memory holds one, and its values take some times that."""

EXPORT_BYTES = 16 << 30
"""Most bytes of conversations in an archive, so that a small file does not keep us for hours."""

_CHUNK_BYTES = 1 << 20
_CONVERSATIONS = re.compile(r"(?:.*/)?(conversations(?:-\d+)?\.json)")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How files may be compressed: with other methods, a few bytes can become any amount at once."""


class Found(msgspec.Struct):
    """A conversation in an export."""

    position: str
    """The file and the index, for people."""
    data: bytes | InvalidValue
    """Its JSON, or the reason why it cannot be read."""
    id: str | None = None
    """Its id, as soon as it is known."""

    @property
    def name(self) -> str:
        """Its position and its id, for people."""
        return self.position if self.id is None else f"{self.position} {self.id}"


def read_export(source: str) -> Iterator[Found]:
    """Yield the conversations of an export, in their order.

    Raises:
        InvalidValue: the file is not there, or is not an export.
    """
    path = Path(source)
    if not path.is_file():
        raise InvalidValue("source", f"there is no file {source!r}")
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                yield from _read_archive(file)
            else:
                file.seek(0)
                yield from _read_file(file, path.name)
    except OSError as error:
        raise InvalidValue("source", f"{source!r} cannot be read: {error}") from error


def _read_archive(file: IO[bytes]) -> Iterator[Found]:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in _entries(archive):
                with archive.open(entry) as stream:
                    yield from _read_file(stream, entry.filename)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InvalidValue("source", f"the archive is damaged: {error}") from error


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the files with conversations; a large export has several."""
    found = [
        entry
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename)
        if _CONVERSATIONS.fullmatch(entry.filename) and not entry.filename.startswith("__MACOSX/")
    ]
    if not found:
        raise InvalidValue("source", "the archive has no conversations.json")
    for entry in found:
        if entry.flag_bits & 1:
            raise InvalidValue("source", f"{entry.filename!r} is encrypted; unpack it, and name it")
        if entry.compress_type not in _METHODS:
            reason = f"{entry.filename!r} is compressed in an unusual way; unpack it, and name it"
            raise InvalidValue("source", reason)
    size = sum(entry.file_size for entry in found)
    if size > EXPORT_BYTES:
        reason = f"its conversations have {size:,} bytes; {EXPORT_BYTES:,} are read at most"
        raise InvalidValue("source", reason)
    return found


def _read_file(stream: IO[bytes], name: str) -> Iterator[Found]:
    index = -1
    try:
        for index, data in enumerate(split_array(_chunks(stream), CONVERSATION_BYTES)):
            yield Found(position=f"{name}[{index}]", data=data)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        # What was read so far is whole. Nothing more can be read of this file.
        reason = InvalidValue("conversation", f"the archive is damaged from here on: {error}")
        yield Found(position=f"{name}[{index + 1}]", data=reason)


def _chunks(stream: IO[bytes]) -> Iterable[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk
