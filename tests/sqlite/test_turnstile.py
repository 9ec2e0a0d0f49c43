"""The turnstile: who waits for the turn to write is not passed again and again."""

import threading
import time
from pathlib import Path

from treadle.backends.sqlite.turnstile import Turnstile


def test_nobody_writes_again_and_again_while_another_waits(tmp_path: Path) -> None:
    one, other = (Turnstile(str(tmp_path / "store.db")) for _ in range(2))
    turns = 0
    ended = threading.Event()

    def write_without_a_break() -> None:
        nonlocal turns
        while not ended.is_set():
            with one.hold():
                time.sleep(0.001)
                turns += 1

    writer = threading.Thread(target=write_without_a_break)
    writer.start()
    passed: list[int] = []
    for _ in range(30):
        time.sleep(0.002)
        before = turns
        with other.hold():
            passed.append(turns - before)
    ended.set()
    writer.join()
    one.close()
    other.close()
    assert sorted(passed)[-3] <= 2, passed  # the one that was in, and one that stood before
