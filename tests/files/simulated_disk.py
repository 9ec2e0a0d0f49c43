"""A disk that records its changes, and computes what a power failure leaves of them.

Content that was not synced may be lost, empty or cut off at any byte. A name that was not synced
may be the new one, or any earlier one since the last sync of its folder.
"""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import RLock
from typing import Literal

from treadle.backends.files.disk import Bytes, Disk


class Content:
    """A file's content: `sure` survives; of the `writes` since then any part may be lost."""

    def __init__(self, sure: bytes | None) -> None:
        self.sure = sure
        self.writes: list[tuple[int, bytes]] = []
        self.size: int | None = None

    def now(self) -> bytes:
        data = bytearray(self.sure or b"")
        for start, written in self.writes:
            data[start : start + len(written)] = written
        return bytes(data)

    def sync(self) -> None:
        self.sure, self.writes = self.now(), []

    def after_failure(self, choose: random.Random) -> bytes:
        """Return the synced bytes and some of the writes since, the last cut at a random byte."""
        kept = [write for write in self.writes if choose.random() < 0.7]
        data = bytearray(self.sure or b"")
        for position, (start, written) in enumerate(kept):
            last = position == len(kept) - 1
            length = choose.randint(0, len(written)) if last else len(written)
            data += bytes(max(0, start - len(data)))  # a hole, where a write is lost
            data[start : start + length] = written[:length]
        return bytes(data)


Keep = Literal["nothing", "all", "some", "removals"]
"""What a failure leaves of the changes that were not synced."""


class Image:
    """Names and contents, with what they were at the last sync of their folder."""

    def __init__(self) -> None:
        self.names: dict[str, Content] = {}
        self.earlier: dict[str, list[Content | None]] = {}

    def set_name(self, path: str, content: Content | None) -> None:
        self.earlier.setdefault(path, [self.names.get(path)]).append(content)
        if content is None:
            self.names.pop(path, None)
        else:
            self.names[path] = content

    def sync_folder(self, folder: str) -> None:
        for path in [path for path in self.earlier if os.path.dirname(path) == folder]:
            del self.earlier[path]

    def after_failure(self, choose: random.Random, keep: Keep) -> dict[str, bytes]:
        """Return the files that are left."""
        files: dict[str, bytes] = {}
        for path in self.names.keys() | self.earlier.keys():
            versions = self.earlier.get(path, [self.names.get(path)])
            picked: dict[Keep, Content | None] = {
                "nothing": versions[0],
                "all": versions[-1],
                "some": choose.choice(versions),
                "removals": None if versions[-1] is None else versions[0],
            }
            content = picked[keep]
            if content is None:
                continue
            if keep == "all":
                files[path] = content.now()
            elif keep == "some":
                files[path] = content.after_failure(choose)
            else:
                files[path] = content.sure or b""
        return files


Step = Callable[[Image], None]


class SteadyDisk(Disk):
    """The real disk without its syncs, which tests on a running machine do not need."""

    def sync(self, path: str) -> None: ...

    def sync_folder(self, path: str) -> None: ...

    def sync_log(self, log: int) -> None: ...


class RecordingDisk(SteadyDisk):
    """A disk that records each change as a step, which can be replayed on an `Image`."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.journal_writes: list[tuple[int, str, int]] = []
        """Of each write to a journal: the number of steps before it, the path and the length."""
        self.log_syncs: list[int] = [0]
        """The number of steps before each sync of a log."""
        self._paths: dict[int, str] = {}
        self._one_by_one = RLock()
        """Checkpoints run on their own threads: a change and its record must not be separated."""

    def write_atomically(
        self, path: str, parts: Sequence[Bytes], temp_folder: str, *, sync: bool = False
    ) -> None:
        data = b"".join(parts)

        def step(image: Image) -> None:
            if path in image.names:  # the old file is reused for another
                image.names[path].sure, image.names[path].writes = b"reused", []
            content = Content(data if sync else None)
            if not sync:
                content.writes.append((0, data))
            image.set_name(path, content)

        with self._one_by_one:
            super().write_atomically(path, parts, temp_folder, sync=sync)
            self.steps.append(step)

    def append(self, path: str, data: bytes) -> None:
        def step(image: Image) -> None:
            if path not in image.names:
                image.set_name(path, Content(None))
            content = image.names[path]
            content.writes.append((len(content.now()), data))

        with self._one_by_one:
            super().append(path, data)
            self.steps.append(step)

    def remove(self, path: str) -> None:
        def step(image: Image) -> None:
            if path in image.names:
                image.set_name(path, None)

        with self._one_by_one:
            super().remove(path)
            self.steps.append(step)

    def sync(self, path: str) -> None:
        def step(image: Image) -> None:
            if path in image.names:
                image.names[path].sync()

        with self._one_by_one:
            self.steps.append(step)

    def sync_folder(self, path: str) -> None:
        with self._one_by_one:
            self.steps.append(lambda image: image.sync_folder(path))

    def open_log(self, path: str) -> int:
        def step(image: Image) -> None:
            if path not in image.names:
                image.set_name(path, Content(None))

        with self._one_by_one:
            log = super().open_log(path)
            self._paths[log] = path
            self.steps.append(step)
            return log

    def write_log(self, log: int, start: int, data: Bytes) -> None:
        path, copy = self._paths[log], bytes(data)
        with self._one_by_one:
            super().write_log(log, start, data)
            if "journal-" in path:
                self.journal_writes.append((len(self.steps), path, len(copy)))
            self.steps.append(lambda image: image.names[path].writes.append((start, copy)))

    def sync_log(self, log: int) -> None:
        path = self._paths[log]
        with self._one_by_one:
            self.log_syncs.append(len(self.steps))
            self.steps.append(lambda image: image.names[path].sync())

    def cut_log(self, log: int, size: int) -> None:
        path = self._paths[log]

        def step(image: Image) -> None:
            content = image.names[path]
            content.sure, content.writes = content.now()[:size], []

        with self._one_by_one:
            super().cut_log(log, size)
            self.steps.append(step)


def lay_down(files: dict[str, bytes], source: Path, target: Path) -> None:
    """Write an image of the folder `source` to the folder `target`."""
    for path, data in files.items():
        copy = target / Path(path).relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(data)
